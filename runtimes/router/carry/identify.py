"""A WebSocket without a token: one of the node's own programs may open it, since the kernel knows who it is.

The original's clients send no token there. Whose process is at the other end takes a look into /proc, so it
is done in a thread while the request waits, for a few at a time. Only who turns out to be nobody counts as
anonymous: others may come from the same address as the programs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from runtimes.router.decide.access import not_authorized
from runtimes.router.decide.table import caller_of

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision, IdentifyPeer


class Identifying:
    """Implements `handler.Handler` until it is known who asks, and by that, what is to be done."""

    def __init__(self, plane: Plane, client: Client, decision: IdentifyPeer) -> None:
        self._plane = plane
        self._client = client
        self._head = decision.head
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None: ...

    def whole(self, payload: bytes) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        # Most routers never need it, and it would be a megabyte in each.
        from runtimes.router.carry.peer_credentials import is_local, session_of

        plane, sock = self._plane, self._client.transport.get_extra_info("socket")
        services = {
            credential.pid: route
            for route in plane.table.services.values()
            for credential in route.credentials
            if credential.pid
        }
        pid = None
        if services and is_local(sock):
            async with plane.looking:
                pid = await asyncio.to_thread(session_of, sock, frozenset(services))
        decision: Decision = not_authorized(self._head)
        if pid is not None:
            decision = plane.decide_head(self._head, caller_of(services[pid]))
        self._client.hand_over(self._client.start(decision))

    def body(self, payload: bytes, *, done: bool) -> None: ...

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._plane.metrics.in_flight -= 1

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...
