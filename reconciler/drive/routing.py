"""Keeps the router told: whenever a service's route is not the one that was published last.

`publish` is called in the very place where a wish or an instance changes, before anything else can be
decided. So the router never has an endpoint of an instance that was asked to stop, and it is told that one is
gone before it is asked whether requests to it are still in flight.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from reconciler.decide.routes import route_of
from reconciler.drive.internal_errors import InternalErrors
from runtimes.router.decide.table import SYSTEM, conflicts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.decide.controller import Controller
    from reconciler.drive.events import EventLog
    from reconciler.drive.metrics import Metrics
    from runtimes.router.decide.table import ServiceRoute
    from runtimes.router.port import Router


@dataclass(frozen=True, slots=True)
class Lost:
    """The APIs that a service exports in vain: each with the service that has it. `since`: wall clock."""

    apis: Mapping[str, str]
    since: float

    def __str__(self) -> str:
        return "; ".join(f"{api} is served by {winner}" for api, winner in sorted(self.apis.items()))


class Routing:
    """What the router was told last, and which exports are in conflict."""

    def __init__(
        self,
        router: Router,
        identity: Callable[[str], Mapping[str, str]],
        events: EventLog,
        metrics: Metrics,
        wall: Callable[[], float] = time.time,
        owner_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`owner_of`: as whom services of that source act, "" where they are this node's own."""
        self.published: dict[str, ServiceRoute] = {}
        self.lost: dict[str, Lost] = {}
        self._router = router
        self._identity = identity
        self._events = events
        self._errors = InternalErrors(events, metrics)
        self._wall = wall
        self._source_owner = owner_of
        self._identities: dict[str, Mapping[str, str]] = {}
        self._ends = False
        self._patient: set[anyio.CancelScope] = set()

    def publish(self, *controllers: Controller) -> None:
        """Tells the router about those whose routes changed, all in one."""
        changed: dict[str, ServiceRoute | None] = {}
        for controller in controllers:
            try:
                self._look(controller, changed)
            except Exception as error:
                # Whatever is wrong with one service's route, the others are led to.
                self._errors.report(controller.id, error)
        if changed:
            self._put(changed)

    def _look(self, controller: Controller, changed: dict[str, ServiceRoute | None]) -> None:
        before = self.published.get(controller.id)
        # While anything of it is there it stays who it was, also when it is uninstalled meanwhile.
        identity = self._identities.get(controller.id) or self._identity(controller.id)
        owner = self._owner_of(controller) or identity.get("owner", SYSTEM)
        route = self._now(controller, identity["key"], owner)
        if route is None:
            self._identities.pop(controller.id, None)
        else:
            self._identities[controller.id] = identity
        if route != before:
            changed[controller.id] = route

    def owner(self, service_id: str) -> str:
        """As whom a service calls others: a user's key, or `system`."""
        route = self.published.get(service_id)
        return route.owner if route else SYSTEM

    async def drained(self, instance: str, *, restart: bool = False) -> None:
        """Returns once nothing is in flight to an unpublished instance. `restart`: others serve in its place.

        When the node ends, also those that are waited for already have to hurry.
        """
        if not self._ends:
            with anyio.CancelScope() as patience:
                self._patient.add(patience)
                try:
                    await self._router.drained(instance, restart=restart)
                finally:
                    self._patient.discard(patience)
            if not patience.cancelled_caught:
                return
        await self._router.drained(instance, hurry=True)

    def hurry(self) -> None:
        """The node ends: connections that may never end are waited for no more."""
        self._ends = True
        for patience in list(self._patient):
            patience.cancel()

    def _now(self, controller: Controller, key: str, owner: str) -> ServiceRoute | None:
        """Nobody comes after what ends with the node, so nobody waits."""
        route = route_of(controller, key, owner)
        return replace(route, awaits="") if route is not None and self._ends else route

    def _owner_of(self, controller: Controller) -> str:
        """Another node's services act for that node, and so does all that runs beside one of them."""
        running = [each.running.service for each in controller.instances.values()]
        wanted = [controller.wish.service] if controller.wish.service else []
        owners = (self._source_owner(service.source) for service in [*wanted, *running])
        return next(filter(None, owners), "")

    def _put(self, changed: Mapping[str, ServiceRoute | None]) -> None:
        claimed = any(
            _claim(self.published.get(service_id)) != _claim(route) for service_id, route in changed.items()
        )
        for service_id, route in changed.items():
            if route is None:
                del self.published[service_id]
            else:
                self.published[service_id] = route
        self._router.publish(changed)
        if claimed:
            self._find_conflicts()

    def _find_conflicts(self) -> None:
        """Whoever lost an API is told so once, and keeps the time at which it did."""
        before, now = self.lost, self._wall()
        self.lost = {}
        for service_id, apis in conflicts(self.published.values()).items():
            old = before.get(service_id)
            self.lost[service_id] = Lost(apis, old.since if old else now)
            for api, winner in apis.items():
                if old is None or old.apis.get(api) != winner:
                    message = f"{api} is served by {winner}, which exports it too"
                    self._events.emit(service_id, "ExportConflict", message, warning=True)


def _claim(route: ServiceRoute | None) -> object:
    """What of a route decides who has an API."""
    return (route.rank, route.exports) if route and route.exports else None
