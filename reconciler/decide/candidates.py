"""Step 2: which revisions may run, the best first?

The declared one, unless it was rejected or cannot be had yet; then the one that was healthy before. None at
all where nothing is to run, or nobody knows what does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.draft import Draft
    from reconciler.decide.world import World


def candidates(world: World, draft: Draft) -> tuple[Service, ...]:
    """Those that could start now, or run already."""
    _forget_old_rejection(world, draft)
    if world.stop_reason or not world.observed:
        return ()
    first, second = _declared(world, draft), _healthy(world, draft)
    if first and second and first.revision == second.revision:
        second = None
    return tuple(service for service in (first, second) if service)


def _forget_old_rejection(world: World, draft: Draft) -> None:
    """Something else is wanted: that is the change that a rejected revision waits for."""
    rejected, service = draft.history.rejected, world.service
    if rejected and service and service.revision != rejected.revision:
        draft.history = replace(draft.history, rejected=None)


def _declared(world: World, draft: Draft) -> Service | None:
    service, history = world.service, draft.history
    if service is None or world.problem or history.rejects(service):
        return None
    return service if history.prepared(service) else None


def _healthy(world: World, draft: Draft) -> Service | None:
    """What served before, under today's policies where it is today's revision."""
    healthy, service = draft.history.healthy, world.service
    if healthy is None or world.absent:
        return None
    if service is not None and service.revision == healthy.revision:
        healthy = service
    runs = any(each.live and each.revision == healthy.revision for each in world.instances)
    return healthy if runs or draft.history.prepared(healthy) else None
