"""Step 1: is anything to end, and does what was asked to end have to be pressed?

An instance drains, is asked to end, and is killed: each for as long as its manifest says. Where nothing of
the service is to run any more, all that lives is asked to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.actions import EndDrain, Stop
from reconciler.decide.lifecycle import State

if TYPE_CHECKING:
    from reconciler.decide.draft import Draft
    from reconciler.decide.world import Instance, World

#: Why what its owner does not let run any more ends.
BARRED = "NotGranted"
#: Seconds between two SIGKILLs to an instance that will not go (a process in uninterruptible sleep).
KILL_AGAIN = 5.0


def terminate(world: World, draft: Draft) -> None:
    """Goes on with the ends that have begun; begins that of all where nothing is to run."""
    for instance in world.instances:
        if instance.leaving:
            _insist(instance, world.now, draft)
    if world.observed and not world.held_by and (reason := world.stop_reason):
        for instance in world.instances:
            if instance.live:
                draft.stop(instance, reason)
        return
    if world.observed and world.barred:
        for instance in world.instances:
            if instance.live and instance.revision in world.barred:
                draft.stop(instance, BARRED)


def _insist(instance: Instance, now: float, draft: Draft) -> None:
    """A drain has its time-out, the grace period ends in SIGKILL, and SIGKILL is repeated until it worked."""
    due = instance.since + _patience(instance)
    if now < due:
        draft.look_again(due)
        return
    if instance.state is State.DRAINING:
        draft.actions.append(EndDrain(instance.id, "DrainTimeoutExceeded"))
    else:
        draft.actions.append(Stop(instance.id, "GracePeriodExceeded", force=True))
    draft.look_again(now + KILL_AGAIN)


def _patience(instance: Instance) -> float:
    """Seconds that an instance may stay in its present way of leaving."""
    manifest = instance.service.manifest
    if instance.state is State.DRAINING:
        return manifest.update.drain_timeout
    return manifest.stop.grace_period if instance.state is State.STOPPING else KILL_AGAIN
