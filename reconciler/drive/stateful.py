"""What a service's program has kept by now: looked at before an update, after one, and for whoever asks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.decide.history import Keeps
from reconciler.decide.strategy import changed_by_both, choose
from runtimes.base import Kept, RuntimeFailure, RuntimeUnavailable

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.actions import Look
    from reconciler.decide.controller import Controller
    from reconciler.drive.surroundings import Surroundings


async def look_at_kept(surroundings: Surroundings, controller: Controller, service: Service) -> Kept:
    """What it has kept by now. What cannot be seen counts as something: it is not put at risk."""
    try:
        controller.kept = await surroundings.runtime(service).kept(service)
    except (RuntimeFailure, OSError) as failure:
        if isinstance(failure, RuntimeUnavailable):
            surroundings.lost(service.runtime, failure)
        controller.kept = Kept(f"what it keeps cannot be seen: {failure}")
    return controller.kept


async def look_before_update(surroundings: Surroundings, controller: Controller, action: Look) -> None:
    """What is found decides how the update goes, also where the next life of the node goes on with it."""
    kept = await look_at_kept(surroundings, controller, action.running)
    keeps = Keeps(action.service.revision, kept.what)
    controller.history = replace(controller.history, keeps=keeps)
    choice = choose(action.service, kept.what)
    surroundings.events.emit(controller.id, "UpdateStrategy", f"{choice.strategy}: {choice.because}")


async def warn_of_conflicts(surroundings: Surroundings, controller: Controller, service: Service) -> None:
    """After an update: files that its program and its author have both changed."""
    try:
        kept = await look_at_kept(surroundings, controller, service)
    except Exception as error:
        surroundings.errors.report(controller.id, error)
        return
    if kept.conflicts:
        surroundings.events.emit(controller.id, "ChangedByBoth", changed_by_both(kept), warning=True)
