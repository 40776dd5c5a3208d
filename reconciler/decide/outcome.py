"""Step 9: what does all this mean for people, and when is it looked at again?

Here the three conditions get their reasons, and the decision its outcome.

"Why isn't it running yet?" has its answer in the message of one condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.conditions import Condition, Verdict
from reconciler.decide.lifecycle import State
from reconciler.decide.world import Decision, Failed, RetryAfter, Settled, Stalled

if TYPE_CHECKING:
    from reconciler.decide.draft import Draft
    from reconciler.decide.progress import Target
    from reconciler.decide.world import Outcome, World


def conclude(world: World, target: Target | None, draft: Draft) -> Decision:
    """The decision as a whole. What is stalled is not worked at."""
    stalled = _stalled(world, draft)
    working = None if stalled else _working(world, target, draft)
    conditions = (
        _ready(world, target, draft, stalled or working),
        _reconciling(stalled, working),
        _stalled_condition(stalled, working),
    )
    outcome = _outcome(stalled, _failure(world, draft), draft.wake)
    return Decision(tuple(draft.actions), draft.history, outcome, conditions, gone=world.gone)


def _outcome(stalled: Verdict | None, failure: Verdict | None, wake: float | None) -> Outcome:
    """Stalled, Failed (to be tried again), RetryAfter, or Settled."""
    if stalled:
        return Stalled(stalled)
    if wake is None:
        return Settled()
    return Failed(wake, failure) if failure else RetryAfter(wake)


def _reconciling(stalled: Verdict | None, working: Verdict | None) -> Condition:
    if working:
        return Condition("Reconciling", "True", working.reason, working.message)
    return Condition("Reconciling", "False", "Stalled" if stalled else "Settled")


def _stalled_condition(stalled: Verdict | None, working: Verdict | None) -> Condition:
    if stalled:
        return Condition("Stalled", "True", stalled.reason, stalled.message)
    return Condition("Stalled", "False", "Converging" if working else "Settled")


def _ready(world: World, target: Target | None, draft: Draft, why: Verdict | None) -> Condition:
    if not world.observed:
        why = world.unobserved or Verdict("Unobservable", "the runtime could not say what runs")
        return Condition("Ready", "Unknown", why.reason, why.message)
    shape = world.service or (target.service if target else draft.history.healthy)
    needed = shape.manifest.slots if shape else 1
    ready = {instance.slot for instance in world.instances if instance.ready}
    if world.suspended:
        return Condition("Ready", "False", "Suspended", "stopped on request")
    done = target.completed if target else frozenset()
    if target and done and len(ready | done) >= needed:
        return _completed(target, draft)
    if len(ready) >= needed:
        return Condition("Ready", "True", "Ready", _serving(world, needed, why))
    if why:
        return Condition("Ready", "False", why.reason, why.message)
    return Condition("Ready", "False", "NotReady", f"{len(ready)} of {needed} ready")


def _completed(target: Target, draft: Draft) -> Condition:
    """Its program has ended as its restart policy allows."""
    ended = draft.history.completed.values()
    done = [each for each in ended if each.revision == target.service.revision]
    if failed := next((each for each in done if not each.success), None):
        return Condition("Ready", "False", "Failed", f"{failed.message}, and is not to be restarted")
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
    if rejected and world.service:
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
    return draft.hold.verdict if draft.hold and draft.hold.failing else None


def _working(world: World, target: Target | None, draft: Draft) -> Verdict | None:
    """What the node is still busy with."""
    if world.stop_reason:
        return _ending(world)
    if not world.observed:
        return world.unobserved or Verdict("Unobservable", "waits until the runtime can say what runs")
    held = draft.hold.verdict if draft.hold else None
    return world.problem or _preparing(draft) or held or _moving(world, target, draft)


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


def _preparing(draft: Draft) -> Verdict | None:
    service = draft.unprepared
    if service is None:
        return None
    attempt = draft.history.preparations.get(service.revision)
    if attempt and attempt.failure:
        return Verdict(attempt.failure.reason, f"{attempt.failure.message}; will be tried again")
    return Verdict("Preparing", f"prepares revision {service.revision}")


def _moving(world: World, target: Target | None, draft: Draft) -> Verdict | None:
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
