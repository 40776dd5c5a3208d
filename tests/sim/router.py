"""An imaginary router, and what it has to say about the node: it watches for what must never happen.

Requests to an instance that is published no more take as long as a test says. While the router is away it
forwards nothing and learns nothing; it is told everything when it is back.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import anyio

from reconciler.decide.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.node import Node
    from runtimes.base import Running
    from runtimes.fake import FakeMachine
    from runtimes.router.decide.table import ServiceRoute, Session


class FakeRouter:
    """Implements `runtimes.router.port.Router` for one life of a node. `requests`: seconds, by service id."""

    def __init__(self, machine: FakeMachine, requests: Mapping[str, float]) -> None:
        self.routes: dict[str, ServiceRoute] = {}
        self.node: Node | None = None
        self.hurried: list[str] = []
        self.waiting: set[str] = set()
        self._machine = machine
        self._requests = requests
        self._untold: dict[str, ServiceRoute | None] = {}
        self._back = anyio.Event()
        self._back.set()
        machine.before_signal = self._before_signal

    # -- runtimes.router.port.Router

    def publish(self, routes: Mapping[str, ServiceRoute | None]) -> None:
        for route in routes.values():
            if route is not None:
                self._check(route)
        self._untold.update(routes)
        if not self.away:
            self._learn()

    def update_sessions(self, sessions: Mapping[str, Session | None]) -> None: ...

    def set_private(self, private: bool) -> None: ...

    async def told(self) -> None: ...

    async def seen(self) -> list[str]:
        return []

    def set_devices(self, devices: Mapping[str, Session | None]) -> None: ...

    async def drained(self, instance: str, *, hurry: bool = False, restart: bool = False) -> None:
        if not self.away and instance in self.backends():
            self._wrong(f"{instance} was to drain while it was published")
        if hurry:
            self.hurried.append(instance)
        self.waiting.add(instance)
        try:
            await self._finished(instance, hurry=hurry)
        finally:
            self.waiting.discard(instance)

    async def metrics(self) -> str:
        return ""

    async def end(self) -> None: ...

    # -- what a test does with it

    @property
    def away(self) -> bool:
        return not self._back.is_set()

    def go_away(self) -> None:
        if not self.away:
            self._back = anyio.Event()

    def come_back(self) -> None:
        self._learn()
        self._back.set()

    def backends(self) -> set[str]:
        """Every instance to which it would send requests."""
        return {backend.instance for route in self.routes.values() for backend in route.backends}

    def tokens(self) -> set[str]:
        return {each.token for route in self.routes.values() for each in route.credentials}

    def ready(self) -> set[str]:
        """Every instance that the node takes for ready."""
        assert self.node
        controllers = self.node.reconciler.controllers.values()
        return {
            instance
            for controller in controllers
            for instance, tracked in controller.instances.items()
            if tracked.view.state is State.READY
        }

    # -- inside

    async def _finished(self, instance: str, *, hurry: bool) -> None:
        await self._back.wait()
        process = self._machine.processes.get(instance)
        takes = self._requests.get(process.running.service.id, 0.0) if process else 0.0
        if takes < inf:
            await anyio.sleep(takes)
        elif not hurry:
            await anyio.sleep_forever()

    def _learn(self) -> None:
        for service_id, route in self._untold.items():
            if route is None:
                self.routes.pop(service_id, None)
            else:
                self.routes[service_id] = route
        self._untold = {}

    def _check(self, route: ServiceRoute) -> None:
        assert self.node
        instances = self.node.reconciler.controllers[route.id].instances
        for backend in route.backends:
            # One of the tasks that a cluster keeps of an instance has a name behind a point.
            instance = backend.instance.partition(".")[0]
            if instance not in instances or not instances[instance].view.ready:
                self._wrong(f"{backend.instance} was published without being ready")
        if {each.pid for each in route.credentials} != {each.running.pid for each in instances.values()}:
            self._wrong(f"not exactly what runs of {route.id} has credentials")

    def _before_signal(self, running: Running) -> None:
        if not self.away and running.instance in self.backends():
            self._wrong(f"{running.instance} was signalled while it was published")

    def _wrong(self, what: str) -> None:
        self._machine.violations.append(what)
