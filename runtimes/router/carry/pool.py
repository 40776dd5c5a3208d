"""One instance as the router sees it: its connections, and what is in flight on them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from runtimes.router.decide.passed_fields import router_field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtimes.router.carry.exchange import Exchange, Upstream
    from runtimes.router.decide.table import Backend
    from runtimes.router.limits import Limits

#: A connection that was idle for longer than this is looked at before it is used: it may be closed by now.
_DOUBTFUL_AFTER = 0.05


class Unreachable(Exception):
    """An instance accepts no connection; its text says why."""


class Pool:
    """One instance: its connections, and how many exchanges are in flight to it.

    `retired`: none begins here any more. `leaving`: none that may never end goes on. `connect` makes another
    connection, or raises Unreachable.
    """

    def __init__(
        self, backend: Backend, limits: Limits, connect: Callable[[Pool], Awaitable[Upstream]]
    ) -> None:
        self.backend = backend
        #: Goes behind a field of a request's head, before its end of line.
        self.proof = b"\r\n" + line[:-2] if (line := router_field(backend.token)) else b""
        self.limits = limits
        self._open = connect
        self.in_flight: set[Exchange] = set()
        self.idle: list[Upstream] = []
        self.retired = self.leaving = False
        self.waiters: list[asyncio.Event] = []
        self._connecting: set[asyncio.Task[None]] = set()

    def acquire(self, exchange: Exchange, now: float) -> None:
        """Leads to `connected` (at once, where a connection is idle) or to `unreachable`."""
        self.in_flight.add(exchange)
        idle = self.idle
        while idle:
            upstream = idle.pop()
            if now - upstream.idle_since < _DOUBTFUL_AFTER or upstream.is_fresh(now):
                upstream.exchange = exchange
                exchange.connected(upstream)
                return
            upstream.close()
        task = asyncio.get_running_loop().create_task(self._connect(exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, exchange: Exchange) -> None:
        try:
            upstream = await self._open(self)
        except Unreachable as error:
            if exchange in self.in_flight:
                self.finished(exchange)
                exchange.unreachable(str(error))
            return
        if exchange not in self.in_flight:
            # Its client left meanwhile.
            upstream.close()
            return
        upstream.exchange = exchange
        exchange.connected(upstream)

    def finished(self, exchange: Exchange) -> None:
        """The exchange is over, or never began."""
        self.in_flight.discard(exchange)
        if self.waiters:
            self.wake_waiters()

    def serve_again(self) -> None:
        """It was unready for a while, or was to leave, and something may still be in flight from before."""
        self.retired = self.leaving = False

    def retire(self) -> None:
        """No exchange begins here any more."""
        self.retired = True
        idle, self.idle = self.idle, []
        for upstream in idle:
            upstream.close()

    def sweep(self, now: float) -> None:
        """Closes what was idle for too long, and ends what was not answered in time."""
        stale = [upstream for upstream in self.idle if now - upstream.idle_since > upstream.keep_for]
        if stale:
            self.idle = [upstream for upstream in self.idle if upstream not in stale]
        for upstream in stale:
            upstream.close()
        late = now - self.limits.answering
        for exchange in [each for each in self.in_flight if 0 < each.asked < late]:
            exchange.too_late()

    def drained(self, *, hurry: bool = False, restart: bool = False) -> asyncio.Event:
        """Is set once nothing is in flight. In a hurry, what might never end is cut off.

        `restart`: there is a successor, or will be; who has a WebSocket or an event stream may come to that.
        """
        event = asyncio.Event()
        self.waiters.append(event)
        if hurry:
            self.cut()
        elif restart and self.retired:
            self.leaving = True
            for exchange in [exchange for exchange in self.in_flight if exchange.endless]:
                exchange.restart()
        self.wake_waiters()
        return event

    def cut(self) -> None:
        """Ends WebSockets and event streams."""
        for exchange in [exchange for exchange in self.in_flight if exchange.endless]:
            exchange.cut()

    def wake_waiters(self) -> None:
        """To be called when something left `in_flight`."""
        if not self.in_flight:
            waiters, self.waiters = self.waiters, []
            for event in waiters:
                event.set()
