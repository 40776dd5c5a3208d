"""Reading no more at a time than a turn of the loop may take."""

from __future__ import annotations

import asyncio

#: Bytes. uvloop reads 256,000 at once where there are so many; to keep those takes longer than many calls.
PIECE = 16 * 1024


class PiecewiseReader(asyncio.BufferedProtocol):
    """A transport's protocol in place of another one, which gets the same in smaller pieces."""

    __slots__ = ("_buffer", "_protocol")

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self._buffer = memoryview(bytearray(PIECE))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
