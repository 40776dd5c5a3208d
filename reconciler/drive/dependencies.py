"""Who waits for whom: a service for those that its manifest names, and their end for those that still run.

Kept both ways, because a change of one wakes only those whom it concerns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from manifests.model.spec import Dependency
    from reconciler.decide.controller import Controller, Wish


class Dependencies:
    """Among these controllers, which come and go; one that is named need not be there."""

    def __init__(self, controllers: Mapping[str, Controller]) -> None:
        self._controllers = controllers
        self._dependents: dict[str, set[str]] = {}

    def link(self, service_id: str, old: Wish, new: Wish) -> None:
        """Another wish for a service may name others than before."""
        for dependency in _named(old):
            self._dependents.get(dependency.id, set()).discard(service_id)
        for dependency in _named(new):
            self._dependents.setdefault(dependency.id, set()).add(service_id)

    def dependents(self, service_id: str) -> Collection[str]:
        """Those that depend on it."""
        return self._dependents.get(service_id, ())

    def dependencies(self, service_id: str) -> Iterator[str]:
        """Those that it depends on."""
        controller = self._controllers.get(service_id)
        return (dependency.id for dependency in (_named(controller.wish) if controller else ()))

    def waiting_for(self, controller: Controller) -> tuple[str, ...]:
        """What is still missing before it may start, in words for people."""
        if not (named := _named(controller.wish)):
            return ()
        return tuple([lacking for dependency in named if (lacking := self._lacking(dependency))])

    def held_by(self, controller: Controller) -> tuple[str, ...]:
        """Services that depend on this one and still run; on a cycle nobody waits."""
        if controller.wish.on_cycle:
            return ()
        others = (self._controllers.get(other) for other in self.dependents(controller.id))
        return tuple(sorted(other.id for other in others if other and other.instances))

    def _lacking(self, dependency: Dependency) -> str:
        other = self._controllers.get(dependency.id)
        if other is None or other.wish.service is None:
            return f"{dependency.id}, which is not declared"
        if other.succeeded:
            return ""
        if dependency.condition == "completed":
            return f"{dependency.id} to end successfully"
        if dependency.condition == "ready":
            return "" if other.ready else f"{dependency.id} to be ready"
        return "" if other.instances else f"{dependency.id} to be started"


def _named(wish: Wish) -> tuple[Dependency, ...]:
    return wish.service.manifest.depends_on if wish.service else ()
