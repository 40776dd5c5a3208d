"""Step 3: does the best candidate stand, or has it had its chance? Here a revision is given up.

A revision that was never healthy has until healthyDeadline without progress, less where it crashes while
nobody serves; then it is rejected, and the next candidate has its turn. One that was healthy before is only
ever replaced, never rejected. Where somebody is to be asked first, it is not started again with data that
another one may have changed: nothing is, until something changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from manifests.model.quantities import format_duration
from reconciler.decide.conditions import Verdict
from reconciler.decide.history import Rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from manifests.model.service import Service
    from reconciler.decide.candidates import Candidate
    from reconciler.decide.draft import Draft
    from reconciler.decide.history import History
    from reconciler.decide.world import Instance, World

#: Crashes in a row that are no accident, and seconds that are enough for a revision that has so many while
#: nobody serves: fewer than requests wait for it.
MANY_CRASHES, CRASHING = 3, 10.0
EXCEEDED = "HealthyDeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Target:
    """The revision that should run from now on.

    `prepared`: more of it can be started. `proven`: it has been entirely ready before. `completed`: the slots
    whose program ended for good.
    """

    service: Service
    prepared: bool
    proven: bool
    completed: frozenset[int]


def choose_target(world: World, choices: Sequence[Candidate], draft: Draft) -> Target | None:
    """The first that stands; None where none can."""
    for candidate in choices:
        service = candidate.service
        if candidate.usable and not _has_to_be_asked_for(world, candidate, draft):
            completed = draft.history.completed_slots(service)
            _note_progress(world, service, completed, draft)
            proven = draft.history.is_healthy(service)
            if proven or not _past_deadline(world, service, draft):
                return Target(service, candidate.prepared, proven, completed)
            _reject(world, service, draft)
    if world.observed and not world.stop_reason:
        _take_down_rejected(world, draft)
    return None


def _note_progress(world: World, service: Service, completed: Collection[int], draft: Draft) -> None:
    """Marks it healthy once every slot is covered, and each new covered slot as progress."""
    history = draft.history
    done = len(_ready_slots(world, service).union(completed))
    if done == service.manifest.slots:
        if history.rollout or history.healthy is not service or not history.back:
            draft.history = replace(history, healthy=service, back=True, rollout=None)
        return
    rollout = history.rollout
    if rollout and rollout.revision == service.revision and done > rollout.ready:
        draft.history = replace(history, rollout=replace(rollout, since=world.now, ready=done))


def _ready_slots(world: World, service: Service) -> set[int]:
    slots = range(service.manifest.slots)
    return {each.slot for each in _running(world, service) if each.ready and each.slot in slots}


def _running(world: World, service: Service) -> list[Instance]:
    return [each for each in world.instances if each.live and each.revision == service.revision]


def _past_deadline(world: World, service: Service, draft: Draft) -> bool:
    rollout = draft.history.rollout
    if rollout is None or rollout.revision != service.revision:
        return False
    deadline = rollout.since + _chance(world, service, draft.history)
    if world.now < deadline:
        draft.look_again(deadline)
        return False
    return True


def _chance(world: World, service: Service, history: History) -> float:
    """Seconds that a new revision has to become ready.

    Fewer for one that crashes again and again while nobody serves and there is one that would: with one
    writer at a time the old revision had to end first, and its requests wait.
    """
    deadline = service.manifest.update.healthy_deadline
    crashing = history.crashed == service.revision and history.crashes >= MANY_CRASHES
    alone = not any(each.live and each.revision != service.revision for each in world.instances)
    if crashing and alone and history.healthy is not None:
        return min(deadline, CRASHING)
    return deadline


def _reject(world: World, service: Service, draft: Draft) -> None:
    history, running = draft.history, _running(world, service)
    within = format_duration(_chance(world, service, history))
    message = f"revision {service.revision} was not ready within {within}: "
    message += _why_not_ready(service, history, running)
    back = history.back and not _may_have_changed_data(service, history)
    if not back and history.healthy is not None:
        message += (
            f"; what it wrote may not fit revision {history.healthy.revision}, which is not started again by "
            f"itself: declare what is to run, or `atek start {service.id}` tries once more"
        )
    rejected = Rejected(service.revision, Verdict(EXCEEDED, message))
    draft.history = replace(history, rejected=rejected, back=back, rollout=None, not_before=0.0)
    for instance in running:
        draft.stop(instance, EXCEEDED)


def _asks(service: Service) -> bool:
    """Whether somebody is asked before data goes back to another revision."""
    return service.manifest.update.on_failure == "ask"


def _may_have_changed_data(service: Service, history: History) -> bool:
    """Unless it is known that there was nothing when it began; only where anybody is to be asked at all."""
    rollout = history.rollout
    return _asks(service) and not (rollout is not None and rollout.kept == "")


def _has_to_be_asked_for(world: World, candidate: Candidate, draft: Draft) -> bool:
    """Whether it may not be started, although it was healthy before; where it runs, it goes on."""
    if candidate.declared or draft.history.back or world.service is None or not _asks(world.service):
        return False
    return not _running(world, candidate.service)


def _why_not_ready(service: Service, history: History, running: Sequence[Instance]) -> str:
    """What a person needs to know about a revision that never got ready."""
    if history.crashed == service.revision:
        crashes = replace(history, delay=0.0).describe_crashes()
        return f"{crashes}; `atek logs {service.id}` shows its output"
    if service.manifest.placement == "swarm":
        return "not all of its tasks did; `atek events` tells about them"
    found = next((instance.complaint for instance in running if instance.complaint), "")
    if service.manifest.probes.readiness is None and not found:
        endpoint = "its Unix socket" if service.manifest.port is None else "its port"
        return (
            f"it runs, but accepts no connection on {endpoint}; "
            "a program that listens nowhere needs `probes: {readiness: none}`"
        )
    return found or "its readiness probe did not succeed"


def _take_down_rejected(world: World, draft: Draft) -> None:
    """Nothing can run in its place; anything else stays as it is."""
    rejected = draft.history.rejected
    if rejected is None or world.service is None:
        return
    for instance in world.instances:
        if instance.live and instance.revision == rejected.revision and instance.id not in draft.stopped:
            draft.stop(instance, rejected.verdict.reason)
