"""One connection of a client: requests in, one at a time and in order, answers out.

A connection reads a head, asks the plane what is to be done with it (a `Decision`), gives the handler for
that the body as it comes, and goes on with the next request when the handler is done. What a client sends
ahead waits here, bounded by not reading on; what breaks the rules is answered with the fitting status, and
the connection ends.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from runtimes.router.carry.client_transport import ClientTransport
from runtimes.router.carry.lingering_close import LingeringClose
from runtimes.router.protocol.body import BadBody, Body, body_of
from runtimes.router.protocol.fields import END, BadHead
from runtimes.router.protocol.lines import after_empty_lines, no_request
from runtimes.router.protocol.pages import CONTINUE, error_page

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Desk, Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.protocol.request_head import RequestHead

    #: By the type of what was decided.
    Handlers = Mapping[type[Any], Callable[[Plane, "Client", Any], Handler]]

#: Bytes that a client may send ahead before its reading is paused.
MOST_AHEAD = 64 * 1024


class Client(ClientTransport):
    """Implements `connection.Connection`; `ended`: no more will come.

    `handlers` are what carries out each kind of decision, which is made at the `desk`.
    """

    __slots__ = (
        "_ahead", "_body", "_full", "_handler", "_handlers", "_last", "_last_of", "_raw", "_slow", "_taking",
        "desk", "ended", "head", "plane", "used",
    )  # fmt: skip

    def __init__(self, plane: Plane, handlers: Handlers, desk: Desk) -> None:
        super().__init__()
        self.plane = plane
        self.desk = desk
        self._handlers = handlers
        self.head: RequestHead | None = None
        self._ahead = b""
        self._handler: Handler | None = None
        self._body: Body | None = None
        #: What the last head that is remembered led to, and in whose memory: that of one route table.
        self._last: Decision | None = None
        self._last_of: dict[bytes, Decision] | None = None
        self.ended = False
        self._full = False
        self._raw = False
        self._slow = False
        self._taking = False
        self.used = monotonic()

    # -- for handlers

    def start(self, decision: Decision) -> Handler:
        """What carries it out for this client. It is told of the request by whoever asked for it."""
        return self._handlers[type(decision)](self.plane, self, decision)

    def sit_at(self, desk: Desk) -> None:
        """It is decided there about its requests from now on."""
        self.desk = desk

    def send_continue(self) -> None:
        """Lets a client go on that waits with its body; from then on it has to be read."""
        if self.head is not None and self.head.expects_continue and not self.body_done and not self._ahead:
            self.send(CONTINUE)

    @property
    def body_done(self) -> bool:
        """Whether all of the request has arrived."""
        return self._body is None or self._body.done

    @property
    def keeps(self) -> bool:
        """Whether another request may follow; what an answer has to say in its Connection field."""
        body, head = self._body, self.head
        return head is not None and head.keep_alive and (body is None or body.done) and not self.plane.ending

    def finish(self, *, keep: bool) -> None:
        """The answer is complete. Without `keep` (as `keeps` said) the connection ends once it was sent."""
        if keep and self._handler is not None:
            self.next(monotonic())
        elif self._handler is not None:
            read = self.body_done
            self._handler = self.head = self._body = None
            self._end(linger=not read)

    def part(self) -> None:
        """What was sent last is a goodbye; the client has a moment to answer it."""
        self._handler = self.head = self._body = None
        self._end(linger=True)

    def next(self, now: float) -> None:
        """The answer is complete, and the connection is kept."""
        self._handler = self.head = self._body = None
        self.used = now
        if (self._ahead or self._paused or self.ended or self._full) and not self._taking:
            self._next()

    def hand_over(self, handler: Handler) -> None:
        """Another handler goes on with a request that has no body."""
        self._handler = handler
        handler.whole(b"")

    def hand_to(self, handler: Handler) -> None:
        """Another handler goes on; whoever hands over tells it what has come of the request."""
        self._handler = handler

    def is_with(self, handler: Handler) -> bool:
        """Whether that one is not done with the request."""
        return self._handler is handler

    @property
    def is_stalled(self) -> bool:
        """Whether it does not take what it is sent."""
        return self._full

    def abort(self) -> None:
        """The answer cannot be completed: the client has to see that it is cut off."""
        self._handler = None
        self.transport.abort()

    def close(self) -> None:
        """Ends it once it was sent what is on its way, for which it has as long as any reader."""
        self.transport.close()
        self.plane.closing.start(self)

    def splice(self) -> bytes:
        """From now on bytes go to `client_ahead` as they are; returns those that came already."""
        self._raw = True
        ahead, self._ahead = self._ahead, b""
        self.resume_body()
        return ahead

    def end_soon(self) -> None:
        """Nothing more will be sent to it, and it has as long as any reader to have its say."""
        self.write_eof()
        self.plane.closing.start(self)

    # -- for the plane

    @property
    def waits(self) -> bool:
        """Whether nothing is in flight, not even half a request."""
        return self._handler is None and not self._ahead

    @property
    def waits_for_reader(self) -> bool:
        """Whether nothing is begun because the client does not take what it was sent."""
        return self._handler is None and self._full

    def too_slow(self) -> None:
        """The head, or the rest of a body, did not come in time."""
        if self._handler is None:
            self._refuse(408, "the request took too long")
        else:
            self.transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.plane.opened(self)

    def data_received(self, data: bytes) -> None:
        handler = self._handler
        if handler is None:
            if self._ahead or self._slow:
                data, self._ahead = self._ahead + data, b""
                self._take(data)
                return
            # By far the most: one whole request, with the same head as the last one, or one that is
            # remembered. Every call counts here; to compare costs less than to look for the end and to hash.
            plane, decision = self.plane, self._last
            if decision is None or self._last_of is not self.desk.decisions:
                decision, payload = self._remembered(data)
            elif data == decision.head.raw:
                payload = b""
            elif data.startswith(decision.head.raw):
                payload = data[len(decision.head.raw) :]
            else:
                decision, payload = self._remembered(data)
            if decision is None or decision.head.length != len(payload):
                self._take(data)
                return
            # As in `_begin`, but without the calls that lead there.
            self.head = decision.head
            plane.metrics.in_flight += 1
            handler = self._handler = self._handlers[type(decision)](plane, self, decision)
            handler.whole(payload)
        elif self._raw:
            handler.client_ahead(data)
        elif self._body is not None and not self._body.done:
            rest = self._feed(self._body, handler, data)
            if self._handler is not None:
                self._keep_ahead(rest)
            elif rest:
                self._take(rest)
        else:
            self._keep_ahead(data)

    def eof_received(self) -> bool:
        self.ended = True
        handler = self._handler
        if handler is None:
            self.close()
            return False
        if self._raw or self.body_done:
            handler.client_ended()
        else:
            # A body that ends too early is not forwarded as if it were whole.
            self.transport.abort()
        # TLS ends in both directions at once.
        return self.scheme == b"http"

    def connection_lost(self, error: Exception | None) -> None:
        self.plane.closed(self)
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.client_lost()

    def pause_writing(self) -> None:
        self.plane.stalled.add(self)
        self._full = True
        if self._handler is None:
            self.pause_body()
        else:
            self._handler.client_paused()

    def resume_writing(self) -> None:
        self.plane.stalled.drop(self)
        self._full = False
        if self._handler is None:
            self._next()
        else:
            self._handler.client_resumed()

    # -- reading

    def _take(self, data: bytes) -> None:
        """Takes requests from `data`, one after another, as long as they are answered at once and read."""
        self._taking = True
        while data and self._handler is None and not self._full and not self.transport.is_closing():
            rest = self._take_one(data)
            if rest is data:
                break
            data = rest
        self._taking = False
        self._wait_with(data)

    def _remembered(self, data: bytes) -> tuple[Decision | None, bytes]:
        """The decision about the head that `data` begins with, if it was made before, and what follows it."""
        known = self.desk.decisions
        head, end, rest = data.partition(END)
        decision = known.get(head) if end else None
        if decision is not None:
            self._last, self._last_of = decision, known
        return decision, rest

    def _take_one(self, data: bytes) -> bytes:
        """One request, as much of it as there is; returns what comes after it."""
        end = data.find(END) + 4
        plane = self.plane
        if end < 4 or end > plane.limits.head:
            return self._take_part(data)
        decision = self.desk.decisions.get(data[: end - 4])
        if decision is None:
            if data.startswith(b"\r\n"):
                rest = after_empty_lines(data)
                return self._refuse(400, "not HTTP") if rest is None else rest
            try:
                decision = self.desk.decide(data[:end])
            except BadHead as error:
                return self._refuse(error.status, error.message)
        if self._slow:
            self._slow = False
            plane.reading.drop(self)
        return self._begin(decision, data, end)

    def _take_part(self, data: bytes) -> bytes:
        """A head that is not complete: no more than fits, and nothing that can never become one."""
        if len(data) > self.plane.limits.head:
            return self._refuse(431, "the head of the request is too long")
        return self._refuse(400, "not HTTP") if no_request(data) else data

    def _begin(self, decision: Decision, data: bytes, end: int) -> bytes:
        """The request whose head ends at `end`; returns what is not yet used of the data."""
        self.head = decision.head
        length = decision.head.length
        self.plane.metrics.in_flight += 1
        handler = self._handler = self.start(decision)
        if 0 <= length <= len(data) - end:
            handler.whole(data[end : end + length])
            return data[end + length :]
        body = self._body = body_of(length)
        handler.begin()
        if self._handler is not handler:
            # It has had enough already, and the connection with it.
            return b""
        return self._feed(body, handler, data[end:])

    def _feed(self, body: Body, handler: Handler, data: bytes) -> bytes:
        """Gives the handler what of the data is the body's; returns what is not."""
        try:
            payload, rest = body.feed(data)
        except BadBody as error:
            self._bad_body(handler, str(error))
            return b""
        if body.done:
            self.plane.sending.drop(self)
            if self._handler is handler:
                handler.body(payload, done=True)
            return rest
        self.plane.sending.add(self)
        if payload and self._handler is handler:
            handler.body(payload, done=False)
        return rest

    def _bad_body(self, handler: Handler, reason: str) -> None:
        """What was sent on so far cannot be completed; if nothing was answered yet, say why."""
        if self._handler is not handler:
            return
        self._handler = None
        handler.client_lost()
        self._refuse(400, reason)

    def _keep_ahead(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) > MOST_AHEAD:
            self.pause_body()

    def _wait_with(self, data: bytes) -> None:
        """Nothing more can be done with what has arrived."""
        self._ahead = data
        if self.waits_for_reader:
            self.pause_body()
        elif not data or self.transport.is_closing():
            return
        elif self._handler is None:
            self._slow = True
            self.plane.reading.start(self)
        elif len(data) > MOST_AHEAD:
            self.pause_body()

    def _next(self) -> None:
        """Goes on after an answer, once there is room for the next one."""
        if self._full:
            self.pause_body()
            return
        ahead, self._ahead = self._ahead, b""
        self.resume_body()
        if ahead:
            self._take(ahead)
        if self.ended and self._handler is None:
            self.close()

    # -- ending

    def _refuse(self, status: int, message: str) -> bytes:
        """Nothing is left of what came after it."""
        self.plane.refused(self, status, message)
        self.send(error_page(status, message, close=True))
        self._end(linger=True)
        return b""

    def _end(self, *, linger: bool) -> None:
        """Closing on unread bytes resets the connection, and the client may lose the answer it was sent."""
        if self.transport.is_closing():
            return
        if self.ended or not linger:
            self.close()
            return
        self.write_eof()
        plane = self.plane
        self._handler = LingeringClose(self, plane.lingering, plane.limits.lingering_at_most)
        self._ahead, self._raw = b"", True
        self.resume_body()
        plane.sending.drop(self)
