"""Requests that wait because their service is being switched: it ended, and its successor is not ready yet.

A service is held from the moment in which its route says what it awaits, for `Limits.holding` at the most
(after a crash for `Limits.replacing`). So many wait, and so many bytes of them; their bodies are not read
meanwhile. Once there is somebody to ask they go on, in the order in which they came; after that time, or
beyond those bounds, they get the answer that there is for a service that is not ready.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runtimes.router.decide.table import ServiceRoute
    from runtimes.router.limits import Limits


class Waiter(Protocol):
    """Told once, and then it waits no more."""

    def go_on(self) -> None:
        """By the table of the moment, whatever it says."""
        ...

    def look(self) -> None:
        """It may see whether anybody still waits for it; `Holding.leave` is how it goes."""
        ...


class _Held:
    """One service: what it awaits, until when, and who waits, with how many bytes."""

    def __init__(self, awaits: tuple[str, bool], until: float) -> None:
        self.awaits = awaits
        self.until = until
        self.waiters: dict[Waiter, int] = {}


class Holding:
    """All that waits in one router."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._services: dict[str, _Held] = {}
        self.count = 0
        self.size = 0

    def told(self, service_id: str, route: ServiceRoute | None) -> None:
        """The route of a service is another one, and the table has it already."""
        held = self._services.get(service_id)
        if route is None or not route.held:
            if held is not None:
                self._end(service_id)
            return
        awaits = (route.awaits, route.after_crash)
        if held is None or held.awaits != awaits:
            until = monotonic() + (self._limits.replacing if route.after_crash else self._limits.holding)
            if held is None:
                self._services[service_id] = _Held(awaits, until)
            else:
                held.awaits, held.until = awaits, until

    def admit(self, service_id: str, waiter: Waiter, size: int) -> bool:
        """Whether one more may wait. It is there with `size` bytes."""
        held, limits = self._services.get(service_id), self._limits
        if held is None or monotonic() >= held.until:
            return False
        if len(held.waiters) >= limits.held_by_service or self.count >= limits.held:
            return False
        if self.size + size > limits.held_bytes:
            return False
        held.waiters[waiter] = size
        self.count += 1
        self.size += size
        return True

    def grow(self, service_id: str, waiter: Waiter, size: int) -> bool:
        """Whether a waiter may have so many bytes more."""
        if self.size + size > self._limits.held_bytes:
            return False
        self._services[service_id].waiters[waiter] += size
        self.size += size
        return True

    def leave(self, service_id: str, waiter: Waiter) -> None:
        """It waits no more, or never did."""
        held = self._services.get(service_id)
        size = held.waiters.pop(waiter, None) if held else None
        if size is not None:
            self.count -= 1
            self.size -= size

    def sweep(self) -> None:
        """Lets go who waited for too long, and who is waited for no more."""
        now = monotonic()
        for service_id, held in list(self._services.items()):
            for waiter in list(held.waiters):
                waiter.look()
            if now >= held.until:
                self._let_go(service_id, held)

    def end(self) -> None:
        """Nobody waits in a router that ends."""
        for service_id in list(self._services):
            self._end(service_id)

    def _end(self, service_id: str) -> None:
        self._let_go(service_id, self._services.pop(service_id))

    def _let_go(self, service_id: str, held: _Held) -> None:
        waiters, held.waiters = held.waiters, {}
        self.count -= len(waiters)
        self.size -= sum(waiters.values())
        for waiter in waiters:
            waiter.go_on()
