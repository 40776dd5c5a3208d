"""Calls to the daemon over a raw connection: half the way of the client's own, which is for any loop.

An answer is handed to whoever waits for it in the turn in which it arrives; calls of one turn leave in one
write. Watches, and what a daemon has to be told when it comes back, are the client's business.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import orjson

from hyper.client import HyperClient
from hyper.connection import away
from hyper.encoding.wire import Lines, request_line, result_of
from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Mapping


class LinkedClient(HyperClient):
    """The client, whose calls go over a `Link`."""

    def __init__(self, socket: str) -> None:
        super().__init__(socket)
        self._link: Link | None = None
        self._connecting = asyncio.Lock()

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        link = self._link
        if link is None or not link.open:
            link = await self._connected()
        return await link.call(method, params)

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None or not self._link.open:
                loop = asyncio.get_running_loop()
                try:
                    _, self._link = await loop.create_unix_connection(Link, self._socket)
                except OSError as error:
                    raise away() from error
            return self._link


class Link(asyncio.Protocol):
    """One connection. When it ends, whatever is not answered fails with AWAY."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._lines = Lines()

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """The method's result. Raises HyperError."""
        self._number = number = self._number + 1
        line = request_line(number, method, params)
        if not self.open:
            raise away()
        pending = self._pending[number] = asyncio.get_running_loop().create_future()
        self._transport.write(line)
        try:
            return result_of(await pending)
        finally:
            del self._pending[number]

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._take(orjson.loads(line))
        except (HyperError, orjson.JSONDecodeError, AttributeError):
            # It does not speak our language: a connection of which nothing can be known is no use.
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        for pending in self._pending.values():
            if not pending.done():
                pending.set_exception(away())

    def _take(self, message: Any) -> None:
        pending = self._pending.get(message.get("id"))
        if pending is None or pending.done():
            return
        pending.set_result(message)
