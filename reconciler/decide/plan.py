"""The decision: what to do about one service, given everything there is to know about it.

`plan` is pure and total: a `World` in, a `Decision` out, no clock, no chance, no I/O. It promises:

- it never takes *unknown* for *absent*: a service that no source was able to mention is left alone;
- it never asks for a second copy of a revision in a slot, but beside one that is asked to end already, and
  that only where two revisions may run next to each other too;
- it touches only instances it was shown, and it was shown only this node's own;
- with nothing changed it asks for nothing.

The steps are the functions below, from top to bottom.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.decide.actions import CancelPrepare, EndDrain, Prepare, Stop
from reconciler.decide.lifecycle import State
from reconciler.decide.outcome import conditions_of, outcome_of
from reconciler.decide.rollout import Draft, converge
from reconciler.decide.world import Decision

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.history import History
    from reconciler.decide.world import Instance, World

#: Seconds between two SIGKILLs to an instance that will not go (a process in uninterruptible sleep).
KILL_AGAIN = 5.0


def plan(world: World) -> Decision:
    """Decides what to do about one service now."""
    draft = Draft(_current_history(world))
    _insist_on_stops(world, draft)
    target = _decide(world, draft) if world.observed else None
    gone = _gone(world)
    return Decision(
        tuple(draft.actions),
        draft.history,
        outcome_of(world, target, draft),
        conditions_of(world, target, draft),
        gone=gone,
    )


def _current_history(world: World) -> History:
    """Forgets a rejection as soon as something else is wanted: that is the change it waited for."""
    history = world.history
    rejected, service = history.rejected, world.service
    if rejected and service and service.revision != rejected.revision:
        return replace(history, rejected=None)
    return history


def _insist_on_stops(world: World, draft: Draft) -> None:
    """A drain has its time-out, the grace period ends in SIGKILL, and SIGKILL is repeated until it worked."""
    for instance in world.instances:
        if not instance.leaving:
            continue
        due = instance.since + _patience(instance)
        if world.now < due:
            draft.look_again(due)
            continue
        if instance.state is State.DRAINING:
            draft.actions.append(EndDrain(instance.id, "DrainTimeoutExceeded"))
        else:
            draft.actions.append(Stop(instance.id, "GracePeriodExceeded", force=True))
        draft.look_again(world.now + KILL_AGAIN)


def _patience(instance: Instance) -> float:
    """Seconds that an instance may stay in its present way of leaving."""
    manifest = instance.service.manifest
    if instance.state is State.DRAINING:
        return manifest.update.drain_timeout
    return manifest.stop.grace_period if instance.state is State.STOPPING else KILL_AGAIN


def _decide(world: World, draft: Draft) -> Service | None:
    """Chooses what should run and moves towards it; returns it, or None when nothing should start."""
    if reason := _should_stop(world):
        _cancel_preparations(draft, set())
        if not world.held_by:
            for instance in world.instances:
                if instance.live:
                    draft.stop(instance, reason)
        return None
    target = _converge(world, draft)
    # Last, because what is healthy now decides which preparations are still of use.
    wanted = {service.revision for service in (world.service, draft.history.healthy) if service}
    _cancel_preparations(draft, wanted)
    return target


def _converge(world: World, draft: Draft) -> Service | None:
    target = _choose(world, draft)
    if target is None:
        _drop_unwanted(world, draft)
        return None
    before = draft.history.rejected
    converge(world, target, draft)
    if draft.history.rejected is not before:
        return _fall_back(world, draft)
    return target


def _should_stop(world: World) -> str:
    """The reason why nothing of the service should run, or an empty string."""
    if world.shutdown:
        return "NodeStopping"
    if world.suspended:
        return "Suspended"
    absent = world.service is None and world.problem is None
    return "Pruned" if absent and world.known else ""


def _choose(world: World, draft: Draft) -> Service | None:
    """The declared revision once it is prepared; until then, or if it cannot be had, the last healthy one."""
    want = world.service
    eligible = want is not None and world.problem is None and not _is_rejected(draft, want)
    if want is not None and eligible and _prepared_or_preparing(want, world, draft):
        return want
    return _last_healthy(world, draft)


def _is_rejected(draft: Draft, service: Service) -> bool:
    rejected = draft.history.rejected
    return rejected is not None and rejected.revision == service.revision


def _last_healthy(world: World, draft: Draft) -> Service | None:
    """What served before, under today's policies where it is today's revision."""
    healthy = draft.history.healthy
    if healthy is None or (world.service is None and world.problem is None):
        return None
    if world.service is not None and world.service.revision == healthy.revision:
        healthy = world.service
    if any(i.live and i.revision == healthy.revision for i in world.instances):
        return healthy
    return healthy if _prepared_or_preparing(healthy, world, draft) else None


def _prepared_or_preparing(service: Service, world: World, draft: Draft) -> bool:
    """True when it can start; otherwise asks for its preparation, unless that runs or has to wait."""
    history = draft.history
    if history.prepared(service):
        return True
    attempt = history.preparations.get(service.revision)
    if attempt is None:
        draft.actions.append(Prepare(service))
    elif attempt.failure and not attempt.permanent:
        if world.now >= attempt.retry_at:
            draft.actions.append(Prepare(service))
        else:
            draft.look_again(attempt.retry_at)
    return False


def _cancel_preparations(draft: Draft, wanted: set[str]) -> None:
    """A newer wish ends the work for an older one, before anything else."""
    attempts = draft.history.preparations.items()
    running = [revision for revision, attempt in attempts if not attempt.done and attempt.failure is None]
    draft.actions[:0] = [CancelPrepare(revision) for revision in running if revision not in wanted]


def _drop_unwanted(world: World, draft: Draft) -> None:
    """Without a target, only a rejected revision is taken down; anything else stays as it is."""
    rejected = draft.history.rejected
    if rejected is None or world.service is None:
        return
    for instance in world.instances:
        if instance.live and instance.revision == rejected.revision:
            draft.stop(instance, rejected.verdict.reason)


def _fall_back(world: World, draft: Draft) -> Service | None:
    """A revision was rejected just now: its instances stop, and what was healthy serves on."""
    fallback = _last_healthy(world, draft)
    if fallback is not None:
        stopped = {action.instance for action in draft.actions if isinstance(action, Stop)}
        # What is on its way out, now or already, keeps its place until it is gone.
        left = tuple(_leaving(i) if i.id in stopped else i for i in world.instances)
        converge(replace(world, instances=left), fallback, draft)
    return fallback


def _leaving(instance: Instance) -> Instance:
    return replace(instance, state=State.STOPPING) if instance.live else instance


def _gone(world: World) -> bool:
    """Nothing is left of a service that nobody declares any more."""
    absent = world.service is None and world.problem is None and world.known
    return absent and world.observed and not world.instances
