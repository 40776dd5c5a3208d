"""Reading no more at a time than a turn of the loop may take."""

from __future__ import annotations

import asyncio

#: Bytes. uvloop reads 256,000 at once where there are so many; to keep those takes longer than many calls.
PIECE = 16 * 1024

# Of all connections: what stands in it is taken out before the next one reads.
_buffer = memoryview(bytearray(PIECE))


class PiecewiseReader(asyncio.BufferedProtocol):
    """A transport's protocol in place of another one, which gets the same in smaller pieces."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(_buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
