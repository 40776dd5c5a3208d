"""One connection from the router: requests in, answers out in their order; or it becomes a WebSocket.

On llhttp and a raw protocol, as the router itself. A request is small and read whole; while one is answered
no further one is read on its connection, but there are many connections, and so many calls at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from hyper.core_services import ADB_FEED_PATH, ADB_RPC_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

#: Bytes of a head, with its request line.
LARGEST_HEAD = 16 * 1024
#: Bytes of a body. The gateway's own limit is lower, unless somebody configures it to be higher.
LARGEST_BODY = 16 * 1024 * 1024

_RPC, _FEED, _HEALTH = ADB_RPC_PATH.encode(), ADB_FEED_PATH.encode(), b"/health"
_REASONS = {
    200: b"OK", 204: b"No Content", 400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed",
    413: b"Content Too Large", 431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    503: b"Service Unavailable",
}  # fmt: skip


class Application(Protocol):
    """What is served."""

    async def answer(self, body: bytes, user: str, service: str) -> bytes:
        """Of JSON-RPC; empty for a notification."""
        ...

    def health(self) -> tuple[bool, bytes]:
        """Whether all is well, and JSON that says so."""
        ...

    def feed(self, user: str, service: str) -> asyncio.Protocol | None:
        """Takes over a connection, and receives the request that asked for it first; None while it cannot."""
        ...


@dataclass(slots=True)
class Request:
    """One request, as much of it as has come."""

    target: bytes = b""
    method: bytes = b""
    user: str = ""
    service: str = ""
    keep_alive: bool = True
    upgrade: bool = False
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: list[bytes] = field(default_factory=list)

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    def head(self) -> bytes:
        """Written anew, for another parser."""
        lines = b"".join(b"%b: %b\r\n" % pair for pair in self.fields)
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.method, self.target, lines)


class Connection(asyncio.Protocol):
    """`lost` is called with it when it has ended."""

    def __init__(self, application: Application, lost: Callable[[Connection], None]) -> None:
        self._application = application
        self._lost = lost
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._in_head = True
        self._head_size = self._body_size = 0
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._transport: asyncio.Transport
        self._may_write = asyncio.Event()
        self._may_write.set()

    def end(self) -> None:
        """Once what was asked is answered."""
        self._ending = True
        if self._task is None:
            self._transport.close()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD and data.find(b"\r\n\r\n") < 0:
                self._refuse(431, "the head of the request is too long")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._ending = True
        self._may_write.set()
        self._lost(self)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # -- httptools

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request
        request.fields.append((name, value))
        name = name.lower()
        if name == b"atek-auth-user":
            request.user = value.decode("utf-8", "replace")
        elif name == b"atek-auth-service":
            request.service = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._request.method = self._parser.get_method()
        self._request.keep_alive = self._parser.should_keep_alive()
        self._request.upgrade = self._parser.should_upgrade()

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > LARGEST_BODY:
            self._refuse(413, f"the request is larger than {LARGEST_BODY} bytes")
        elif not self._ending:
            self._request.body.append(body)

    def on_message_complete(self) -> None:
        request, self._request = self._request, Request()
        self._in_head, self._head_size, self._body_size = True, 0, 0
        if self._ending or request.upgrade:
            # An upgrade is seen to once its parser has let go.
            self._request = request
            return
        self._waiting.append(request)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())
        else:
            self._transport.pause_reading()

    # -- answering

    async def _serve(self) -> None:
        """Everything that waits, one after another."""
        try:
            while self._waiting:
                request = self._waiting.popleft()
                self._send(*await self._answer(request), keep_alive=request.keep_alive)
                await self._may_write.wait()
        except Exception:
            _log.exception("a request could not be answered")
            self._transport.abort()
        finally:
            self._task = None
        if self._ending:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    async def _answer(self, request: Request) -> tuple[int, bytes]:
        path = request.path
        if path == _RPC:
            if request.method != b"POST":
                return 405, _told("calls are sent by POST")
            body = await self._application.answer(b"".join(request.body), request.user, request.service)
            return (200, body) if body else (204, b"")
        if path == _HEALTH:
            well, body = self._application.health()
            return (200 if well else 503), body
        return 404, _told("Not found")

    def _send(self, status: int, body: bytes, *, keep_alive: bool) -> None:
        if self._transport.is_closing():
            return
        if self._ending or not keep_alive:
            self._ending = True
            self._transport.write(_page(status, body, b"Connection: close\r\n"))
            self._transport.close()
        else:
            self._transport.write(_page(status, body))

    def _refuse(self, status: int, message: str) -> None:
        """The last thing on this connection; what is not answered yet never will be."""
        if self._ending:
            return
        self._ending = True
        if self._task is not None:
            # It would be taken for the answer to what came before.
            self._transport.abort()
        else:
            self._transport.write(_page(status, _told(message), b"Connection: close\r\n"))
            self._transport.close()

    # -- WebSockets

    def _upgrade(self, rest: bytes) -> None:
        request = self._request
        if request.path != _FEED or self._task is not None or self._ending:
            self._refuse(404, "Not found")
            return
        feed = self._application.feed(request.user, request.service)
        if feed is None:
            self._refuse(503, "the database is not ready")
            return
        self._transport.set_protocol(feed)
        self._lost(self)
        feed.connection_made(self._transport)
        feed.data_received(request.head() + rest)


def _page(status: int, body: bytes, more: bytes = b"") -> bytes:
    if status == 204:
        return b"HTTP/1.1 204 No Content\r\n%b\r\n" % more
    return b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status, _REASONS[status], more, len(body), body,
    )  # fmt: skip


def _told(message: str) -> bytes:
    return b'{"error":true,"message":"%b"}' % message.replace("\\", "").replace('"', "'").encode()
