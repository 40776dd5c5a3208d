"""Two connections become one: what comes of the one goes to the other, both ways, until both have ended."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from anyio.abc import ByteStream

#: How a connection may end.
ENDS = (OSError, TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
#: Seconds without a byte in either direction. Networks forget a connection of which they hear nothing for
#: about as long (RFC 5382, REQ-5).
IDLE = 2 * 60 * 60 + 4 * 60
_PIECE = 65536


async def splice(one: ByteStream, other: ByteStream, *, idle: float = IDLE) -> None:
    """Returns when both have ended, one broke, or nothing moved for `idle` seconds.

    A direction that ends is ended at the other side, and the other one may go on. Nothing is read that the
    other side does not take.
    """
    async with anyio.create_task_group() as tasks:
        moved = _Clock(tasks.cancel_scope, idle)
        tasks.start_soon(_pass_on, other, one, moved)
        await _pass_on(one, other, moved)


class _Clock:
    """Cuts off what does not move any more."""

    def __init__(self, scope: anyio.CancelScope, idle: float) -> None:
        self._scope = scope
        self._idle = idle
        self.moved()

    def moved(self) -> None:
        self._scope.deadline = anyio.current_time() + self._idle

    def cut(self) -> None:
        self._scope.cancel()


async def _pass_on(source: ByteStream, target: ByteStream, clock: _Clock) -> None:
    try:
        with suppress(anyio.EndOfStream):
            while True:
                piece = await source.receive(_PIECE)
                await target.send(piece)
                clock.moved()
        await target.send_eof()
    except ENDS:
        # Whoever is left is not kept waiting for what will not come.
        clock.cut()
