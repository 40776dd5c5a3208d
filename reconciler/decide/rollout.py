"""How one revision takes over a service: what to start, what to stop, in which order.

`converge` is given the revision that should run (the target) and writes its wishes into a `Draft`.

  rolling    one slot after another: start the new, wait until it is ready, then stop the old of that slot
  recreate   stop everything old first

Which of the two depends on what the service has kept (see `reconciler.decide.strategy`). That is looked at
once, when the target is about to take over; nothing is stopped or started before it is known.

A revision that was never healthy has until healthyDeadline without progress, less where it crashes while
nobody serves; then it is rejected, and `plan` chooses again. One that was healthy before is only ever
replaced, never rejected.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from manifests.model.quantities import format_duration
from manifests.model.service import SWARM
from reconciler.decide.actions import EndDrain, Look, Resume, Start, Stop
from reconciler.decide.conditions import Verdict
from reconciler.decide.history import Rejected, Rollout, describe_crashes
from reconciler.decide.lifecycle import State
from reconciler.decide.strategy import choose, depends_on_what_it_keeps

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.actions import Action
    from reconciler.decide.history import History
    from reconciler.decide.strategy import Strategy
    from reconciler.decide.world import Instance, World

#: Crashes in a row that are no accident, and seconds that are enough for a revision that has so many while
#: nobody serves: fewer than requests wait for it.
MANY_CRASHES, CRASHING = 3, 10.0


@dataclass(slots=True)
class Draft:
    """A decision in the making. `wake` is the earliest moment at which time alone changes it."""

    history: History
    actions: list[Action] = field(default_factory=list)
    wake: float | None = None
    waiting: Verdict | None = None

    def look_again(self, at: float) -> None:
        self.wake = at if self.wake is None else min(self.wake, at)

    def stop(self, instance: Instance, reason: str, *, crash: bool = False) -> None:
        self.actions.append(Stop(instance.id, reason, crash=crash))


def converge(world: World, target: Service, draft: Draft) -> None:
    """Moves the service one step towards `target`."""
    replicas = target.manifest.slots
    current = [i for i in world.instances if i.live and i.revision == target.revision]
    others = [i for i in world.instances if i.live and i.revision != target.revision]
    surplus = [i for i in current if i.slot >= replicas]
    current = _one_per_slot([i for i in current if i.slot < replicas], draft)
    for instance in surplus:
        draft.stop(instance, "ScaledDown")
    _note_progress(world, target, current, draft)
    if _past_deadline(world, target, current, others, draft):
        return
    _replace_failing(world, target, current, draft)
    if replicas == 0:
        _stop_all(others, draft, "ScaledDown")
        return
    _start_and_hand_over(world, target, current, others, draft)


def _one_per_slot(current: list[Instance], draft: Draft) -> list[Instance]:
    """A node that died has forgotten that it asked one of two to end, beside which the other was started."""
    chosen: dict[int, Instance] = {}
    for instance in sorted(current, key=lambda each: each.ready):
        if doubled := chosen.get(instance.slot):
            draft.stop(doubled, "Doubled")
        chosen[instance.slot] = instance
    return list(chosen.values())


def covered(target: Service, current: list[Instance], history: History) -> set[int]:
    """The slots of the target that are ready, or whose program has completed."""
    ready = {instance.slot for instance in current if instance.ready}
    return ready | completed_slots(target, history)


def completed_slots(target: Service, history: History) -> set[int]:
    """The slots whose program ended for good under this revision."""
    slots = range(target.manifest.slots)
    return {
        slot for slot, done in history.completed.items() if done.revision == target.revision and slot in slots
    }


def _note_progress(world: World, target: Service, current: list[Instance], draft: Draft) -> None:
    """Marks the target healthy once every slot is covered, and each new covered slot as progress."""
    history = draft.history
    done = len(covered(target, current, history))
    if done == target.manifest.slots:
        if history.rollout or history.healthy is not target:
            draft.history = replace(history, healthy=target, rollout=None)
        return
    rollout = history.rollout
    if rollout and rollout.revision == target.revision and done > rollout.ready:
        draft.history = replace(history, rollout=Rollout(target.revision, world.now, done))


def _past_deadline(
    world: World, target: Service, current: list[Instance], others: list[Instance], draft: Draft
) -> bool:
    """Rejects a revision that had its chance; True when it did."""
    rollout = draft.history.rollout
    if rollout is None or rollout.revision != target.revision or draft.history.is_healthy(target):
        return False
    chance = _chance(target, others, draft.history)
    if world.now < rollout.since + chance:
        draft.look_again(rollout.since + chance)
        return False
    verdict = Verdict("HealthyDeadlineExceeded", _why_not_ready(target, draft.history, current, chance))
    draft.history = replace(
        draft.history, rejected=Rejected(target.revision, verdict), rollout=None, not_before=0.0
    )
    _stop_all(current, draft, "HealthyDeadlineExceeded")
    return True


def _chance(target: Service, others: list[Instance], history: History) -> float:
    """Seconds that a new revision has to become ready.

    Fewer for one that crashes again and again while nobody serves and there is one that would: with one
    writer at a time the old revision had to end first, and its requests wait.
    """
    deadline = target.manifest.update.healthy_deadline
    crashing = history.crashed == target.revision and history.crashes >= MANY_CRASHES
    if crashing and not others and history.healthy is not None:
        return min(deadline, CRASHING)
    return deadline


def _why_not_ready(target: Service, history: History, current: list[Instance], chance: float) -> str:
    """What a person needs to know about a revision that never got ready."""
    within = f"revision {target.revision} was not ready within {format_duration(chance)}"
    if history.crashed == target.revision:
        crashes = describe_crashes(replace(history, delay=0.0))
        return f"{within}: {crashes}; `atek logs {target.id}` shows its output"
    if target.manifest.placement == "swarm":
        return f"{within}: not all of its tasks did; `atek events` tells about them"
    found = next((instance.complaint for instance in current if instance.complaint), "")
    if target.manifest.probes.readiness is None and not found:
        endpoint = "its Unix socket" if target.manifest.port is None else "its port"
        return (
            f"{within}: it runs, but accepts no connection on {endpoint}; "
            "a program that listens nowhere needs `probes: {readiness: none}`"
        )
    return f"{within}: {found or 'its readiness probe did not succeed'}"


def _replace_failing(world: World, target: Service, current: list[Instance], draft: Draft) -> None:
    """Stops what a probe condemned, and what hangs in its start although its revision once was healthy."""
    for instance in current:
        if instance.state is State.FAILING:
            draft.stop(instance, "ProbeFailed", crash=True)
        elif instance.state is State.STARTING and draft.history.is_healthy(target):
            deadline = instance.since + target.manifest.update.healthy_deadline
            if world.now >= deadline:
                draft.stop(instance, "StartTimedOut", crash=True)
            else:
                draft.look_again(deadline)


def _start_and_hand_over(
    world: World, target: Service, current: list[Instance], others: list[Instance], draft: Draft
) -> None:
    slots = set(range(target.manifest.slots))
    vacant = slots - {instance.slot for instance in current} - completed_slots(target, draft.history)
    if not vacant:
        _stop_replaced(target, current, others, draft)
        _forget_what_was_kept(world, target, draft)
        return
    strategy = _strategy(world, target, draft)
    if strategy is None:
        return
    vacant -= _take_back(world, target, vacant, strategy, draft)
    if not vacant:
        return
    if not draft.history.prepared(target):
        return
    if hold := _hold(world, target, others, draft):
        draft.waiting = hold
        return
    if strategy == "recreate":
        _stop_all(others, draft, "Recreated")
        if _another_revision(world, target):
            return
    else:
        _stop_replaced(target, current, others, draft)
        serving = [instance for instance in others if instance.ready_since is not None]
        if serving:
            vacant = _next_slot(vacant, current)
    _start(world, target, vacant - _occupied(world, target, strategy), draft)


def _strategy(world: World, target: Service, draft: Draft) -> Strategy | None:
    """How the target takes over from what is there; None when somebody has to look first."""
    keeps = draft.history.kept_for(target)
    if keeps is None and world.instances and depends_on_what_it_keeps(target):
        running = next((i for i in world.instances if i.revision != target.revision), world.instances[0])
        draft.actions.append(Look(target, running.service))
        return None
    what = keeps.what if keeps else ""
    # The way back from a declared revision is no other than the way to it.
    asked = {choose(each, what).strategy for each in (target, world.service) if each}
    return "recreate" if "recreate" in asked else "rolling"


def _forget_what_was_kept(world: World, target: Service, draft: Draft) -> None:
    """The update is over: the next one looks again."""
    if (
        draft.history.keeps
        and not _another_revision(world, target)
        and not any(instance.leaving for instance in world.instances)
    ):
        draft.history = replace(draft.history, keeps=None)


def _take_back(world: World, target: Service, vacant: set[int], strategy: Strategy, draft: Draft) -> set[int]:
    """What still drains and is well serves again, in no time; the slots that this fills."""
    if strategy == "recreate" and _another_revision(world, target):
        return set()
    ended = {action.instance for action in draft.actions if isinstance(action, EndDrain)}
    back = [
        instance
        for instance in world.instances
        if instance.state is State.DRAINING
        and instance.fit
        and instance.revision == target.revision
        and instance.slot in vacant
        and instance.id not in ended
    ]
    draft.actions.extend(Resume(instance.id) for instance in back)
    return {instance.slot for instance in back}


def _another_revision(world: World, target: Service) -> bool:
    return any(instance.revision != target.revision for instance in world.instances)


def _hold(world: World, target: Service, others: list[Instance], draft: Draft) -> Verdict | None:
    """Why nothing may start yet; None when it may."""
    history = draft.history
    if world.now < history.not_before and history.crashed == target.revision:
        draft.look_again(history.not_before)
        reason = history.last_reason or ("CrashLoopBackOff" if history.crashes > 1 else "Restarting")
        crashes = describe_crashes(history).removeprefix(f"{reason}: ")
        return Verdict(reason, f"{crashes}; `atek logs {world.id}` shows its output")
    first_start = not others and history.crashed != target.revision
    if world.waiting_for and first_start:
        return Verdict("DependencyNotReady", "waits for " + ", ".join(world.waiting_for))
    return None


def _next_slot(vacant: set[int], current: list[Instance]) -> set[int]:
    """While an old revision serves, one slot moves at a time, and only from firm ground."""
    if any(not instance.ready for instance in current):
        return set()
    return {min(vacant)}


def _start(world: World, target: Service, vacant: set[int], draft: Draft) -> None:
    startable = sorted(vacant)
    if startable and not draft.history.is_healthy(target):
        rollout = draft.history.rollout
        if rollout is None or rollout.revision != target.revision:
            draft.history = replace(draft.history, rollout=Rollout(target.revision, world.now))
            draft.look_again(world.now + target.manifest.update.healthy_deadline)
    draft.actions.extend(Start(target, slot) for slot in startable)


def _occupied(world: World, target: Service, strategy: Strategy) -> set[int]:
    """The slots in which a leaving instance of the target stands in the way of the next one.

    Where two revisions may run next to each other, so may two instances of one, once one of them is asked to
    end and was well until then. What is ended because it is broken has to be counted as a crash first.
    """
    leaving = [i for i in world.instances if i.leaving and i.revision == target.revision]
    if strategy == "recreate" or target.runtime == SWARM:
        return {instance.slot for instance in leaving}
    well = [i for i in leaving if i.state is not State.DRAINING and i.fit and i.ready_since is not None]
    slots = [instance.slot for instance in leaving]
    return set(slots) - {instance.slot for instance in well if slots.count(instance.slot) == 1}


def _stop_replaced(target: Service, current: list[Instance], others: list[Instance], draft: Draft) -> None:
    """Stops what serves no purpose: never ready, or covered by the target's instance in its slot."""
    done = covered(target, current, draft.history)
    complete = len(done) == target.manifest.slots
    for old in others:
        if old.ready_since is None:
            draft.stop(old, "Superseded")
        elif complete or old.slot in done:
            draft.stop(old, "Replaced")


def _stop_all(instances: list[Instance], draft: Draft, reason: str) -> None:
    for instance in instances:
        draft.stop(instance, reason)
