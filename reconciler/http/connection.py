"""One connection: h11 does the grammar, this does the waiting, the limits and the streaming.

Requests are read whole before the handler runs. After anything that breaks the rules the client gets the
fitting status and the connection is closed; a streamed answer also ends its connection, because watching
for the client's leaving consumes what it sends.
"""

from __future__ import annotations

import logging
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import anyio
import h11

from reconciler.http.messages import Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import SocketStream

    from reconciler.http.messages import Handler, Limits
    from reconciler.http.places import Place

_log = logging.getLogger(__name__)

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CHUNK = 64 * 1024
_LEFT = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class _Refused(Exception):
    """The request cannot be taken; `status` says why, and the connection ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def converse(stream: SocketStream, handler: Handler, limits: Limits, place: Place) -> None:
    """Serves requests on `stream` until either side has had enough. Raises what a lost connection raises."""
    connection = _Connection(stream, handler, limits, place)
    while await connection.exchange():
        pass


class _Connection:
    def __init__(self, stream: SocketStream, handler: Handler, limits: Limits, place: Place) -> None:
        self._stream = stream
        self._handler = handler
        self._limits = limits
        self._place = place
        self._wire = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._method = b""
        self._left = False
        self._between_chunks = anyio.CancelScope()

    async def exchange(self) -> bool:
        """One request and its answer; False when the connection is over."""
        self._method = b""
        try:
            request = await self._read()
            if request is None:
                return False
            self._place.works()
            response = await self._handle(request)
            if not isinstance(response.body, bytes):
                return await self._stream_if_there_is_room(response, response.body)
        except _Refused as refused:
            self._place.waits()
            response = json_response(refused.status, {"error": True, "message": refused.message})
            await self._send_whole(response, close=True)
            await self._lose_the_rest()
            return False
        self._place.waits()
        await self._send_whole(response)
        return self._again()

    async def _stream_if_there_is_room(self, response: Response, body: AsyncGenerator[bytes, None]) -> bool:
        if not self._place.streams():
            await body.aclose()
            raise _Refused(503, "too many streams are open")
        await self._send_stream(response, body)
        return False

    async def _handle(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return json_response(500, {"error": True, "message": "internal error; the node's log has more"})

    def _again(self) -> bool:
        if self._wire.our_state is not h11.DONE or self._wire.their_state is not h11.DONE:
            return False
        self._wire.start_next_cycle()
        return True

    # Reading

    async def _read(self) -> Request | None:
        """None when the client has left, or said nothing for too long."""
        try:
            head = await self._read_head()
            return None if head is None else await self._read_body(head)
        except h11.RemoteProtocolError as error:
            raise _Refused(error.error_status_hint, str(error)) from error

    async def _read_head(self) -> h11.Request | None:
        if not self._wire.trailing_data[0] and not await self._first_bytes():
            return None
        try:
            with anyio.fail_after(self._limits.head_seconds):
                event = await self._event()
        except TimeoutError:
            raise _Refused(408, "the request's head took too long") from None
        if not isinstance(event, h11.Request):
            return None
        self._method = event.method
        if sum(len(name) + len(value) for name, value in event.headers) > self._limits.head_bytes:
            raise _Refused(431, "the request's headers are too long")
        return event

    async def _first_bytes(self) -> bool:
        data = b""
        with anyio.move_on_after(self._limits.idle_seconds):
            data = await self._receive()
        if data:
            self._wire.receive_data(data)
        return bool(data)

    async def _read_body(self, head: h11.Request) -> Request | None:
        body = bytearray()
        try:
            with anyio.fail_after(self._limits.body_seconds):
                while isinstance(event := await self._event(), h11.Data):
                    body += event.data
                    if len(body) > self._limits.body_bytes:
                        raise _Refused(413, f"the body is longer than {self._limits.body_bytes} bytes")
        except TimeoutError:
            raise _Refused(408, "the request's body took too long") from None
        if not isinstance(event, h11.EndOfMessage):
            return None
        path, _, query = head.target.decode("latin-1").partition("?")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        return Request(head.method.decode("latin-1"), path, query, headers, bytes(body))

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._wire.next_event()) is h11.NEED_DATA:
            if self._wire.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._wire.receive_data(await self._receive())
        assert not isinstance(event, type) or event is h11.PAUSED
        return event

    async def _receive(self) -> bytes:
        try:
            return await self._stream.receive(_CHUNK)
        except anyio.EndOfStream:
            return b""

    async def _lose_the_rest(self) -> None:
        """Closing on unread bytes resets the connection, and the client may lose the answer it was sent."""
        with suppress(*_LEFT), anyio.move_on_after(1):
            await self._stream.send_eof()
            for _ in range(64):
                await self._stream.receive(_CHUNK)

    # Writing

    async def _send_whole(self, response: Response, *, close: bool = False) -> None:
        if self._wire.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = response.body
        assert isinstance(body, bytes)
        headers = [*_headers(response), ("content-length", str(len(body)))]
        if close:
            headers.append(("connection", "close"))
        events: list[h11.Event] = [h11.Response(status_code=response.status, headers=headers)]
        if body and self._method != b"HEAD":
            events.append(h11.Data(data=body))
        await self._send(*events, h11.EndOfMessage())

    async def _send_stream(self, response: Response, body: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(body):
            start = h11.Response(
                status_code=response.status, headers=[*_headers(response), ("connection", "close")]
            )
            if self._method == b"HEAD":
                await self._send(start, h11.EndOfMessage())
                return
            await self._send(start)
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch_for_leaving)
                if await self._copy(body):
                    group.cancel_scope.cancel()

    async def _copy(self, body: AsyncGenerator[bytes, None]) -> bool:
        """Whether the client is still there at the end.

        There is no limit of time: a reader may stand still (a pager), and what waits for it is bounded.
        """
        try:
            while not self._left:
                chunk = None
                with anyio.CancelScope() as self._between_chunks:
                    chunk = await anext(body, None)
                if chunk is None:
                    break
                await self._stream.send(self._wire.send(h11.Data(data=chunk)) or b"")
            await self._send(h11.EndOfMessage())
        except _LEFT:
            return False
        except Exception:
            # Without the last chunk the client sees that the stream was cut short.
            _log.exception("a streamed answer failed")
        return not self._left

    async def _watch_for_leaving(self) -> None:
        """Ends the wait for a chunk, never a send: that ends by itself when nobody is there any more.

        Nor does a broken send cancel this: anyio on asyncio complains in the log when a wait for a socket is
        cancelled in the very moment in which that socket becomes ready, as it does when it breaks.
        """
        with suppress(*_LEFT):
            while True:
                await self._stream.receive(_CHUNK)
        self._left = True
        self._between_chunks.cancel()

    async def _send(self, *events: h11.Event) -> None:
        """Raises TimeoutError (an OSError) when the client does not take it in time."""
        data = b"".join(self._wire.send(event) or b"" for event in events)
        with anyio.fail_after(self._limits.send_seconds):
            await self._stream.send(data)


def _headers(response: Response) -> list[tuple[str, str]]:
    return [
        ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        ("content-type", response.content_type),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        *response.headers.items(),
    ]
