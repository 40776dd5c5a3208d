"""A listener that speaks TLS, and has a kind word for those who do not.

The first byte tells: a handshake begins with 0x16 (RFC 8446, section 5.1), which no request does. It is
looked at and left where it is, so that OpenSSL finds all of it. Who says nothing, or does not come to the end
of the handshake, has as long as anybody for it, and each address only so many at a time.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from runtimes.router.carry.handlers import accept
from runtimes.router.carry.plain_desk import PlainDesk
from runtimes.router.carry.tls import GOODBYE, HANDSHAKE

if TYPE_CHECKING:
    import ssl

    from runtimes.router.carry.network_desk import NetworkDesk
    from runtimes.router.carry.plane import Plane

_HANDSHAKE = b"\x16"
#: Connections of one address that have not got as far as a request yet.
MOST_BEGINNING = 256
#: Connections that are taken before anybody else has a turn.
_AT_ONCE = 64
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_PAUSE = 0.1


class TlsListener:
    """Implements what is used of `asyncio.AbstractServer`. The listener is its own from then on."""

    def __init__(self, plane: Plane, listener: socket.socket, desk: NetworkDesk, tls: ssl.SSLContext) -> None:
        self._plane = plane
        self._listener = listener
        self._desk = desk
        self._plain = PlainDesk(plane, desk.names)
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._beginning: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        listener.setblocking(False)
        self._loop.add_reader(listener, self._take)

    def close(self) -> None:
        """Takes nobody any more; who is in the middle of a handshake goes on."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._loop.remove_reader(self._listener)
                    self._loop.call_later(_EXHAUSTED_PAUSE, self._take_again)
                return
            peer = address[0]
            if self._beginning[peer] >= MOST_BEGINNING:
                connection.close()
                continue
            self._beginning[peer] += 1
            task = self._loop.create_task(self._begin(connection, peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take_again(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._take)

    async def _begin(self, connection: socket.socket, peer: str) -> None:
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(HANDSHAKE):
                    first = await self._first_byte(connection)
                    if first:
                        await self._serve(connection, speaks_tls=first == _HANDSHAKE)
                        return
            connection.close()
        finally:
            self._beginning[peer] -= 1
            if not self._beginning[peer]:
                del self._beginning[peer]

    async def _serve(self, connection: socket.socket, *, speaks_tls: bool) -> None:
        if not speaks_tls:
            await self._loop.connect_accepted_socket(lambda: accept(self._plane, self._plain), connection)
            return
        await self._loop.connect_accepted_socket(
            lambda: accept(self._plane, self._desk),
            connection,
            ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE,
            ssl_shutdown_timeout=GOODBYE,
        )

    async def _first_byte(self, connection: socket.socket) -> bytes:
        """It stays where it is; empty where the client has left."""
        while True:
            try:
                return connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                await self._readable(connection)

    async def _readable(self, connection: socket.socket) -> None:
        news = self._loop.create_future()
        self._loop.add_reader(connection, _tell, news)
        try:
            await news
        finally:
            self._loop.remove_reader(connection)


def _tell(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
