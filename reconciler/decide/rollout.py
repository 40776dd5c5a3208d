"""Step 8: what to start and what to stop, so that the target takes over from what is there.

  rolling    one slot after another: start the new, wait until it is ready, then stop the old of that slot
  recreate   stop everything old first

Nothing is stopped or started before it is known which of the two it is to be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from manifests.model.service import SWARM
from reconciler.decide.actions import EndDrain, Resume, Start
from reconciler.decide.history import Rollout
from reconciler.decide.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.decide.draft import Draft, Hold
    from reconciler.decide.replicas import Replicas
    from reconciler.decide.strategy import Strategy
    from reconciler.decide.world import Instance, World


def hand_over(
    world: World, replicas: Replicas, strategy: Strategy | None, hold: Hold | None, draft: Draft
) -> None:
    """Moves the service one step towards the target. `strategy` is None while somebody has to look first."""
    if not replicas.target.service.manifest.slots:
        _stop_all(replicas.others, draft, "ScaledDown")
    elif not replicas.vacant:
        _stop_replaced(replicas, draft)
        _forget_what_was_kept(world, replicas, draft)
    elif strategy is not None:
        _fill(world, replicas, strategy, hold, draft)


def _fill(world: World, replicas: Replicas, strategy: Strategy, hold: Hold | None, draft: Draft) -> None:
    """Somebody for each vacant slot, as far as that may be now."""
    vacant = replicas.vacant - _take_back(world, replicas, strategy, draft)
    if not vacant or not replicas.target.prepared:
        return
    if hold:
        draft.wait(hold)
    elif strategy == "recreate":
        _stop_all(replicas.others, draft, "Recreated")
        if not replicas.mixed:
            _start(world, replicas, vacant, strategy, draft)
    else:
        _stop_replaced(replicas, draft)
        _start(world, replicas, _next_slots(replicas, vacant), strategy, draft)


def _take_back(world: World, replicas: Replicas, strategy: Strategy, draft: Draft) -> set[int]:
    """What still drains and is well serves again, in no time; the slots that this fills."""
    if strategy == "recreate" and replicas.mixed:
        return set()
    ended = {action.instance for action in draft.actions if isinstance(action, EndDrain)}
    back = [
        instance
        for instance in world.instances
        if instance.state is State.DRAINING
        and instance.fit
        and instance.revision == replicas.target.service.revision
        and instance.slot in replicas.vacant
        and instance.id not in ended
    ]
    draft.actions.extend(Resume(instance.id) for instance in back)
    return {instance.slot for instance in back}


def _next_slots(replicas: Replicas, vacant: frozenset[int]) -> frozenset[int]:
    """While an old revision serves, one slot moves at a time, and only from firm ground."""
    if all(instance.ready_since is None for instance in replicas.others):
        return vacant
    firm = all(instance.ready for instance in replicas.current)
    return frozenset({min(vacant)}) if firm else frozenset()


def _start(world: World, replicas: Replicas, slots: frozenset[int], strategy: Strategy, draft: Draft) -> None:
    target = replicas.target.service
    startable = sorted(slots - _occupied(world, replicas, strategy))
    if startable and not replicas.target.proven:
        rollout = draft.history.rollout
        if rollout is None or rollout.revision != target.revision:
            kept = draft.history.kept_for(target)
            begun = Rollout(target.revision, world.now, kept=kept.what if kept else None)
            draft.history = replace(draft.history, rollout=begun)
            draft.look_again(world.now + target.manifest.update.healthy_deadline)
    draft.actions.extend(Start(target, slot) for slot in startable)


def _occupied(world: World, replicas: Replicas, strategy: Strategy) -> set[int]:
    """The slots in which a leaving instance of the target stands in the way of the next one.

    Where two revisions may run next to each other, so may two instances of one, once one of them is asked to
    end and was well until then. What is ended because it is broken has to be counted as a crash first.
    """
    target = replicas.target.service
    leaving = [i for i in world.instances if i.leaving and i.revision == target.revision]
    if strategy == "recreate" or target.runtime == SWARM:
        return {instance.slot for instance in leaving}
    well = [i for i in leaving if i.state is not State.DRAINING and i.fit and i.ready_since is not None]
    slots = [instance.slot for instance in leaving]
    return set(slots) - {instance.slot for instance in well if slots.count(instance.slot) == 1}


def _stop_replaced(replicas: Replicas, draft: Draft) -> None:
    """Stops what serves no purpose: never ready, or covered by the target's instance in its slot."""
    complete = len(replicas.covered) == replicas.target.service.manifest.slots
    for old in replicas.others:
        if old.ready_since is None:
            draft.stop(old, "Superseded")
        elif complete or old.slot in replicas.covered:
            draft.stop(old, "Replaced")


def _forget_what_was_kept(world: World, replicas: Replicas, draft: Draft) -> None:
    """The update is over: the next one looks again."""
    over = not replicas.mixed and not any(instance.leaving for instance in world.instances)
    if draft.history.keeps and over:
        draft.history = replace(draft.history, keeps=None)


def _stop_all(instances: Iterable[Instance], draft: Draft, reason: str) -> None:
    for instance in instances:
        draft.stop(instance, reason)
