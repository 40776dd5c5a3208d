"""Step 2: which revisions may run, the best first?

The declared one, unless it was rejected or something is wrong with it; then the one that was healthy before.
None at all where nothing is to run, or nobody knows what does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.draft import Draft
    from reconciler.decide.world import World


@dataclass(frozen=True, slots=True)
class Candidate:
    """`usable`: it could start now, or was healthy before and runs already, prepared or not."""

    service: Service
    declared: bool
    prepared: bool
    usable: bool


def candidates(world: World, draft: Draft) -> tuple[Candidate, ...]:
    """At most two, of different revisions."""
    _forget_old_rejection(world, draft)
    if world.stop_reason or not world.observed:
        return ()
    declared, healthy = _declared(world, draft), _healthy(world, draft)
    if declared and healthy and declared.service.revision == healthy.service.revision:
        return (replace(healthy, declared=True),)
    return tuple(each for each in (declared, healthy) if each)


def _forget_old_rejection(world: World, draft: Draft) -> None:
    """Something else is wanted: that is the change that a rejected revision waits for."""
    rejected, service = draft.history.rejected, world.service
    if rejected and service and service.revision != rejected.revision:
        draft.history = replace(draft.history, rejected=None)


def _declared(world: World, draft: Draft) -> Candidate | None:
    service = world.service
    if service is None or world.problem or draft.history.rejected:
        return None
    prepared = draft.history.prepared(service)
    return Candidate(service, declared=True, prepared=prepared, usable=prepared)


def _healthy(world: World, draft: Draft) -> Candidate | None:
    """What served before, under today's policies where it is today's revision."""
    healthy, service = draft.history.healthy, world.service
    if healthy is None or world.absent or healthy.revision in world.barred:
        return None
    if service is not None and service.revision == healthy.revision:
        healthy = service
    prepared = draft.history.prepared(healthy)
    runs = any(each.live and each.revision == healthy.revision for each in world.instances)
    return Candidate(healthy, declared=False, prepared=prepared, usable=prepared or runs)
