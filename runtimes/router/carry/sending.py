"""An answer to calls that is too large for one piece: it goes out as its client takes it."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.protocol.pages import rpc_head
from runtimes.router.tell.metrics import LEFT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtimes.router.carry.client import Client
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision

#: Bytes that are given to a connection in one turn of the loop, however fast its client takes them.
PIECE = 32 * 1024


class Sending:
    """Implements `handler.Handler`. `buffer` are bytes of the plane's that it gives back in the end."""

    def __init__(
        self,
        plane: Plane,
        client: Client,
        decision: Decision,
        pieces: Sequence[memoryview],
        *,
        began: float,
        request_id: bytes,
        buffer: int,
    ) -> None:
        self._plane = plane
        self._client = client
        self._decision = decision
        self._pieces = _cut(pieces)
        self._size = sum(map(len, pieces))
        self._began = began
        self._id = request_id
        self._buffer = buffer
        self._paused = False
        self._next: asyncio.Handle | None = None

    def whole(self, payload: bytes) -> None:
        """The request is no matter any more; what is to be sent begins to be."""
        self._keep = self._client.keeps
        head = rpc_head(self._size, close=not self._keep)
        if self._size <= PIECE:
            head, self._pieces = b"".join((head, *self._pieces)), iter(())
        self._client.send(head)
        self._go_on()

    def _go_on(self) -> None:
        self._next = None
        if self._paused:
            return
        piece = next(self._pieces, None)
        if piece is None:
            self._end(200)
            self._client.finish(keep=self._keep)
            return
        self._client.send(piece)
        self._next = asyncio.get_running_loop().call_soon(self._go_on)

    def _end(self, status: int) -> None:
        self._pieces = iter(())
        if self._next is not None:
            self._next.cancel()
        self._plane.buffered.give(self._buffer)
        self._plane.answered(self._client, self._decision, status, monotonic() - self._began, self._id)

    def begin(self) -> None: ...

    def body(self, payload: bytes, *, done: bool) -> None: ...

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        self._end(LEFT)

    def client_paused(self) -> None:
        self._paused = True

    def client_resumed(self) -> None:
        self._paused = False
        if self._next is None:
            self._go_on()


def _cut(pieces: Sequence[memoryview]) -> Iterator[memoryview]:
    for piece in pieces:
        for at in range(0, len(piece), PIECE):
            yield piece[at : at + PIECE]
