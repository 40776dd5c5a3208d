"""A request that says nothing about who sends it: the kernel knows whose process is at the other end.

The original's clients send no token with a WebSocket; and a service that leaves its token out is no visitor
for that. On a Unix socket the kernel says at once who it is. Over TCP it takes a look at many processes, so
that is done only where it matters, in a thread while the request waits, for a few at a time. Either is done
once for a connection, and its desk knows from then on (`known_peer`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from runtimes.router.carry.kept_request import KeptRequest
from runtimes.router.carry.known_peer import KnownPeer

if TYPE_CHECKING:
    import socket

    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Counter, Plane
    from runtimes.router.decide.decision import Decision, IdentifyPeer


def identify(plane: Plane, client: Client, decision: IdentifyPeer) -> Handler:
    """What carries out the decision about who turns out to ask."""
    # Most routers never need it, and it would be a megabyte in each.
    if client.peer and not decision.needed:
        return client.start(decision.otherwise)
    from runtimes.router.carry.peer_credentials import is_local

    sock = client.transport.get_extra_info("socket")
    if not client.peer:
        token, ours = _look(plane, sock)
        return client.start(_settled(client, decision, KnownPeer(plane, _counter(client), token, ours=ours)))
    return Identifying(plane, client, decision) if is_local(sock) else client.start(decision.otherwise)


def _look(plane: Plane, sock: socket.socket) -> tuple[str, bool]:
    """The instance's token, and whether it is a process of this node."""
    from runtimes.router.carry.peer_credentials import NodeProcess, leader_of

    known = {each.pid: each for each in plane.credentials()}
    groups = {each.name: each.pid for each in known.values() if each.name}
    found = leader_of(sock, known.keys(), NodeProcess(*plane.node, groups))
    return ("", False) if found is None else (known[found].token if found in known else "", True)


def _counter(client: Client) -> Counter:
    """Where the client stood before it was known."""
    desk = client.desk
    return desk.counter if isinstance(desk, KnownPeer) else cast("Counter", desk)


def _settled(client: Client, decision: IdentifyPeer, desk: KnownPeer) -> Decision:
    client.sit_at(desk)
    return desk.settled(decision)


class Identifying:
    """Implements `handler.Handler` until it is known who asks, and by that, what is to be done."""

    def __init__(self, plane: Plane, client: Client, decision: IdentifyPeer) -> None:
        self._plane = plane
        self._client = client
        self._decision = decision
        self._kept = KeptRequest(client)
        self._task = asyncio.get_running_loop().create_task(self._find())

    async def _find(self) -> None:
        plane, client = self._plane, self._client
        async with plane.looking:
            sock, looked_at = client.transport.get_extra_info("socket"), plane.decisions
            token, ours = await asyncio.to_thread(_look, plane, sock)
        desk = KnownPeer(plane, _counter(client), token, ours=ours, looked_at=looked_at)
        self._kept.hand_over(_settled(client, self._decision, desk))

    def whole(self, payload: bytes) -> None:
        self._kept.whole = True
        self._kept.add(payload, done=True)

    def begin(self) -> None: ...

    def body(self, payload: bytes, *, done: bool) -> None:
        self._kept.add(payload, done=done)

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        self._task.cancel()
        self._plane.metrics.in_flight -= 1

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...
