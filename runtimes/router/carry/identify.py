"""A WebSocket without a token: one of the node's own programs may open it, since the kernel knows who it is.

The original's clients send no token there. Whose process is at the other end takes a look into /proc, so it
is done in a thread while the request waits, for a few at a time. Only who turns out to be nobody counts as a
stranger: strangers may come from the same address as the programs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from runtimes.router.carry.own_answer import Stranger, refusal
from runtimes.router.decide.table import caller_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.router.carry.client import Client
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.table import Caller
    from runtimes.router.protocol.request_head import RequestHead


class UnknownPeer:
    """Implements `client.Handler` until it is known who asks; then `admitted` makes the one that goes on."""

    def __init__(
        self, plane: Plane, client: Client, head: RequestHead, admitted: Callable[[Caller], Decision]
    ) -> None:
        self._plane = plane
        self._client = client
        self._head = head
        self._admitted = admitted
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None: ...

    def whole(self, payload: bytes) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        # Most routers never need it, and it would be a megabyte in each.
        from runtimes.router.carry.peers import is_local, session_of

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
        if pid is None:
            decision: Decision = Stranger(
                self._head, refusal(self._head, 401, "Not authorized", kind="gateway")
            )
        else:
            decision = self._admitted(caller_of(services[pid]))
        self._client.hand_over(decision.start(plane, self._client))

    def body(self, payload: bytes, *, done: bool) -> None: ...

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._plane.metrics.in_flight -= 1

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...
