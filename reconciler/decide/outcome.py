"""Says what a decision means for people: the three conditions, and the outcome.

"Why isn't it running yet?" has its answer in the message of one condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.conditions import Condition, Verdict
from reconciler.decide.lifecycle import State
from reconciler.decide.rollout import completed_slots
from reconciler.decide.world import Failed, RetryAfter, Settled, Stalled

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.rollout import Draft
    from reconciler.decide.world import Outcome, World


def outcome_of(world: World, target: Service | None, draft: Draft) -> Outcome:
    """Stalled, Failed (to be tried again), RetryAfter, or Settled."""
    if stalled := _stalled(world, draft):
        return Stalled(stalled)
    failure = _failure(world, draft)
    if failure and draft.wake is not None:
        return Failed(draft.wake, failure)
    return Settled() if draft.wake is None else RetryAfter(draft.wake)


def conditions_of(world: World, target: Service | None, draft: Draft) -> tuple[Condition, ...]:
    """Ready, Reconciling and Stalled, always all three, in this order."""
    stalled = _stalled(world, draft)
    working = None if stalled else _working(world, target, draft)
    return (
        _ready(world, target, draft, stalled or working),
        Condition("Reconciling", "True", working.reason, working.message)
        if working
        else Condition("Reconciling", "False", "Stalled" if stalled else "Settled"),
        Condition("Stalled", "True", stalled.reason, stalled.message)
        if stalled
        else Condition("Stalled", "False", "Converging" if working else "Settled"),
    )


def _ready(world: World, target: Service | None, draft: Draft, why: Verdict | None) -> Condition:
    if not world.observed:
        why = world.unobserved or Verdict("Unobservable", "the runtime could not say what runs")
        return Condition("Ready", "Unknown", why.reason, why.message)
    shape = world.service or target or draft.history.healthy
    needed = shape.manifest.slots if shape else 1
    ready = {instance.slot for instance in world.instances if instance.ready}
    if world.suspended:
        return Condition("Ready", "False", "Suspended", "stopped on request")
    done = completed_slots(target, draft.history) if target else set()
    if done and len(ready | done) >= needed:
        return _completed(target, draft)
    if len(ready) >= needed:
        return Condition("Ready", "True", "Ready", _serving(world, needed, why))
    if why:
        return Condition("Ready", "False", why.reason, why.message)
    return Condition("Ready", "False", "NotReady", f"{len(ready)} of {needed} ready")


def _completed(target: Service | None, draft: Draft) -> Condition:
    """Its program has ended as its restart policy allows."""
    done = [item for item in draft.history.completed.values() if target and item.revision == target.revision]
    failed = [item for item in done if not item.success]
    if failed:
        return Condition("Ready", "False", "Failed", f"{failed[0].message}, and is not to be restarted")
    return Condition("Ready", "False", "Completed", "its program ended successfully")


def _serving(world: World, needed: int, why: Verdict | None) -> str:
    """`why`: what keeps the wanted revision from serving, so that nobody has to ask twice."""
    old = world.service and any(i.ready and i.revision != world.service.revision for i in world.instances)
    if needed == 0:
        return "no replicas are wanted"
    if not old:
        return ""
    reason = f"; {why.reason}: {why.message}" if why and why.message else ""
    return f"the previous revision serves{reason}"


def _stalled(world: World, draft: Draft) -> Verdict | None:
    """What only a change or a person can mend."""
    if world.suspended or world.shutdown:
        return None
    if world.problem and not world.problem.passing:
        return world.problem
    rejected = draft.history.rejected
    if rejected and world.service and rejected.revision == world.service.revision:
        return rejected.verdict
    attempt = world.service and draft.history.preparations.get(world.service.revision)
    return attempt.failure if attempt and attempt.permanent else None


def _failure(world: World, draft: Draft) -> Verdict | None:
    """What went wrong and is going to be tried again."""
    if world.service is None:
        return None
    attempt = draft.history.preparations.get(world.service.revision)
    if attempt and attempt.failure:
        return attempt.failure
    waiting = draft.waiting
    crashes = waiting and waiting.reason in ("CrashLoopBackOff", draft.history.last_reason)
    return waiting if crashes else None


def _working(world: World, target: Service | None, draft: Draft) -> Verdict | None:
    """What the node is still busy with."""
    if world.shutdown or (world.service is None and world.problem is None and world.known):
        return _ending(world)
    if world.suspended:
        return _ending(world)
    if not world.observed:
        return world.unobserved or Verdict("Unobservable", "waits until the runtime can say what runs")
    return world.problem or _preparing(world, draft) or draft.waiting or _moving(world, target, draft)


def _ending(world: World) -> Verdict | None:
    """Why something is still there of what should not run."""
    if not world.instances:
        return None
    if world.held_by:
        return Verdict("Stopping", f"waits for {', '.join(world.held_by)} to stop")
    return _draining(world) or Verdict("Stopping", "")


def _draining(world: World) -> Verdict | None:
    draining = any(instance.state is State.DRAINING for instance in world.instances)
    return Verdict("Draining", "waits until requests in flight have finished") if draining else None


def _preparing(world: World, draft: Draft) -> Verdict | None:
    service = world.service
    if service is None or draft.history.prepared(service):
        return None
    attempt = draft.history.preparations.get(service.revision)
    if attempt and attempt.failure:
        return Verdict(attempt.failure.reason, f"{attempt.failure.message}; will be tried again")
    return Verdict("Preparing", f"prepares revision {service.revision}")


def _moving(world: World, target: Service | None, draft: Draft) -> Verdict | None:
    if draft.actions:
        return Verdict("Progressing", "starts or stops instances")
    if target is None:
        return None
    for instance in world.instances:
        if instance.state is State.STARTING:
            found = f": {instance.complaint}" if instance.complaint else ""
            return Verdict("Starting", f"started, waits until it is ready{found}")
        if instance.state is State.UNREADY:
            return Verdict("Unready", instance.complaint or "its readiness probe fails")
        if instance.state is State.FAILING:
            return Verdict("Failing", instance.complaint)
    leaving = any(i.leaving for i in world.instances)
    return (
        _draining(world) or Verdict("Stopping", "waits until old instances have ended") if leaving else None
    )
