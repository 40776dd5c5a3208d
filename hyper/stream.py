"""One end of a Unix socket.

anyio's own, on asyncio, raises in the event loop when it is cancelled in the very turn in which something
arrives; waiting for the socket itself has no such moment.
"""

from __future__ import annotations

import socket

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream


class UnixStream(ByteStream):
    """Raises what anyio's streams raise."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
            except OSError as error:
                raise self._gone() from error
            else:
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        left = memoryview(item)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise self._gone() from error

    async def send_eof(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            self._socket.close()
        await anyio.lowlevel.checkpoint()

    def _gone(self) -> Exception:
        return anyio.ClosedResourceError() if self._socket.fileno() < 0 else anyio.BrokenResourceError()


async def connect(path: str) -> UnixStream:
    """Raises OSError; also where too many wait for whoever listens."""
    await anyio.lowlevel.checkpoint()
    connecting = socket.socket(socket.AF_UNIX)
    connecting.setblocking(False)
    try:
        connecting.connect(path)
    except BaseException:
        connecting.close()
        raise
    return UnixStream(connecting)
