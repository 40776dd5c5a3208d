"""One request on its way to an instance, and the answer on its way back; nothing is kept of either.

Bodies are passed on as they come, in both directions, and whoever cannot keep up stops the other side's
reading. After `101 Switching Protocols` it is a tunnel. A connection that is refused before anything was
sent leads to another instance; nothing else is tried twice.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.carry.handler import MOST_WAITING
from runtimes.router.protocol.body import LAST_CHUNK, chunk
from runtimes.router.protocol.fields import WEBSOCKET
from runtimes.router.protocol.frames import POLICY_VIOLATION, SERVICE_RESTART, goodbye
from runtimes.router.protocol.pages import CLOSE, error_page
from runtimes.router.protocol.tunnel import Tunnel
from runtimes.router.tell.metrics import LEFT

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.exchange import Upstream
    from runtimes.router.carry.plane import Plane
    from runtimes.router.carry.pool import Pool
    from runtimes.router.decide.proxy import Proxy
    from runtimes.router.protocol.answer_head import AnswerHead

_KEEP = b"Connection: keep-alive\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Proxying:
    """Implements `handler.Handler` towards the client and `exchange.Exchange` towards the instance."""

    # One is made for each request: slots are read by their place, but defaults of the class slowly.
    __slots__ = (
        "_answered", "_began", "_chunked", "_client", "_decision", "_first", "_id", "_keep",
        "_plane", "_pool", "_status", "_tried", "_tunnel", "_upstream", "_waiting",
        "asked", "endless", "sent",
    )  # fmt: skip

    def __init__(self, plane: Plane, client: Client, decision: Proxy) -> None:
        self._plane = plane
        self._client = client
        self._decision = decision
        self._began = monotonic()
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._tried: tuple[Pool, ...] = ()
        self._first = self._id = b""
        self._waiting: list[bytes] | None = None
        self._tunnel: Tunnel | None = None
        self._answered = self._chunked = False
        self._keep = True
        self._status = 0
        self.asked = 0.0
        self.sent = self.endless = False

    # -- the request

    def whole(self, payload: bytes) -> None:
        self._first = payload
        self.sent = True
        self._choose(self._began)

    def begin(self) -> None:
        self._choose(self._began)

    def _choose(self, now: float) -> None:
        plane, decision = self._plane, self._decision
        # Most services have one instance, whose connections are kept already.
        pool = plane.pools.get(decision.only)
        if pool is None or self._tried:
            pool = plane.choose(decision.service_id, decision.backends, self._tried)
        if pool is None:
            self._no_instance()
            return
        self._pool = pool
        pool.acquire(self, now)

    @property
    def _instance(self) -> Pool:
        """Whom the request goes to."""
        assert self._pool is not None
        return self._pool

    def connected(self, upstream: Upstream) -> None:
        self._upstream = upstream
        decision, head = self._decision, self._decision.head
        upstream.known = decision.known
        self._id = head.request_id or next(self._plane.ids)
        prefix = decision.prefix
        if decision.paths is not None:
            prefix = decision.prefix_for(upstream.instance)
        origin = self._origin() if head.for_another else self._client.origin
        write = upstream.write
        write(b"".join((prefix, self._id, upstream.proof, origin, self._first)))
        if self.sent and self._waiting is None:
            self.asked = self._began
        else:
            self._go_on(upstream)

    def _go_on(self, upstream: Upstream) -> None:
        """What came of the body meanwhile goes out, and the rest may come."""
        client = self._client
        if self._waiting is None:
            client.send_continue()
        else:
            waiting, self._waiting = self._waiting, None
            client.resume_body()
            upstream.write(b"".join(waiting))
        if self.sent:
            self.asked = monotonic()

    def unreachable(self, reason: str) -> None:
        self._plane.metrics.failed(self._decision.service_id)
        self._tried = (*self._tried, self._instance)
        self._choose(monotonic())

    def body(self, payload: bytes, *, done: bool) -> None:
        if self._decision.head.length < 0:
            payload = chunk(payload) + (LAST_CHUNK if done else b"")
        self.sent = done
        upstream = self._upstream
        if upstream is None:
            self._wait_with(payload)
            return
        if payload:
            upstream.write(payload)
        if done and not self._answered:
            self.asked = monotonic()

    def _wait_with(self, data: bytes) -> None:
        self._waiting = waiting = self._waiting or []
        waiting.append(data)
        if sum(map(len, waiting)) > MOST_WAITING:
            self._client.pause_body()

    def _origin(self) -> bytes:
        """Who is at the other end; a proxy's word counts only where it was said that there is one."""
        head, client = self._decision.head, self._client
        if client.peer not in self._plane.trusted_proxies:
            return client.origin
        peers = b"%b, %b" % (head.forwarded_for, client.peer.encode())
        return b"\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-For: %b\r\n\r\n" % (
            self._plane.scheme(client, head),
            peers.removeprefix(b", "),
        )

    # -- the answer

    def complete(self, answer: AnswerHead, payload: bytes, now: float) -> None:
        # It is the next one's already: a client that is slow has no say in it.
        self._upstream = None
        plane, decision, client = self._plane, self._decision, self._client
        if decision.plain and self.sent and answer.length >= 0 and not plane.ending:
            # By far the most: nothing has to be added, and `client.keeps` is true.
            send = client.send
            send(answer.complete + payload)
            plane.answered(client, decision, answer.status, now - self._began, self._id)
            client.next(now)
        else:
            self._begin_answer(answer, payload, done=True)
            self._complete()

    def interim(self, answer: AnswerHead) -> None:
        if not self._decision.head.http_1_0:
            self._client.send(answer.complete)

    def answered(self, answer: AnswerHead, payload: bytes) -> None:
        if answer.status == 101:
            self._switch(answer)
        else:
            self._begin_answer(answer, payload, done=False)

    def _begin_answer(self, answer: AnswerHead, payload: bytes, *, done: bool) -> None:
        self.asked = 0.0
        self._answered = True
        self._status = answer.status
        self.endless = answer.endless
        close, framing = self._framing(answer)
        self._keep = close is not CLOSE
        if self._chunked:
            payload = chunk(payload) + (LAST_CHUNK if done else b"")
        self._client.send(b"".join((answer.passed, framing, close, b"\r\n", payload)))
        if self.endless and self._upstream is not None:
            self._begun()

    def _framing(self, answer: AnswerHead) -> tuple[bytes, bytes]:
        """The Connection and the Transfer-Encoding field. Chunks are unknown to HTTP/1.0."""
        close = b"" if self._client.keeps else CLOSE
        if not self._decision.head.http_1_0:
            self._chunked = answer.length < 0
            return close, _CHUNKED if self._chunked else b""
        if answer.length < 0:
            return CLOSE, b""
        return close or _KEEP, b""

    def more(self, payload: bytes, *, done: bool) -> None:
        tunnel = self._tunnel
        if tunnel:
            self._client.send(tunnel.take(payload))
            if tunnel.parting:
                self.restart()
            return
        if self._chunked:
            payload = chunk(payload) + (LAST_CHUNK if done else b"")
        if done:
            self._upstream = None
        if payload:
            self._client.send(payload)
        if done:
            self._complete()

    def _complete(self) -> None:
        self._count()
        self._client.finish(keep=self._keep and self._client.keeps)

    def broken(self, reason: str) -> None:
        self.asked = 0.0
        self._upstream = None
        if self._tunnel:
            self._count()
            self._client.finish(keep=False)
            return
        self._plane.metrics.failed(self._decision.service_id)
        if self._answered:
            self._count()
            self._client.abort()
        else:
            self._fail(502, f"{self._decision.name} failed: {reason}")

    def too_late(self) -> None:
        """Nothing came back within the limit."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        self._plane.metrics.failed(self._decision.service_id)
        self._fail(504, f"{self._decision.name} did not answer within {self._plane.limits.answering:g} s")

    def _no_instance(self) -> None:
        if self._tried:
            self._fail(502, f"{self._decision.name} accepts no connection")
        else:
            self._fail(503, f"{self._decision.name} is not ready")

    def _fail(self, status: int, message: str) -> None:
        client, self._status = self._client, status
        keep = client.keeps
        client.send(
            error_page(status, message, close=not keep, head_only=self._decision.head.method == b"HEAD")
        )
        self._count()
        client.finish(keep=keep)

    def _count(self) -> None:
        seconds = monotonic() - self._began
        self._plane.answered(self._client, self._decision, self._status, seconds, self._id)

    # -- back-pressure, and clients that leave

    def client_lost(self) -> None:
        self.asked = 0.0
        self._status = self._status or LEFT
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            if self._pool is not None:
                self._pool.finished(self)
        elif self._tunnel:
            upstream.leave()
        else:
            upstream.abandon()
        self._count()

    def client_paused(self) -> None:
        if self._upstream is not None:
            self._upstream.pause()

    def client_resumed(self) -> None:
        if self._upstream is not None:
            self._upstream.resume()

    def upstream_paused(self) -> None:
        self._client.pause_body()

    def upstream_resumed(self) -> None:
        self._client.resume_body()

    # -- a tunnel

    def _switch(self, answer: AnswerHead) -> None:
        upstream, client = self._upstream, self._client
        assert upstream is not None
        if not self.sent or answer.upgrade not in self._decision.upgrade.split(b", ") or not answer.upgrade:
            self._upstream = None
            upstream.abandon()
            self.broken("it switched to a protocol that nobody asked for")
            return
        self.asked, self._status = 0.0, 101
        self._answered = self.endless = True
        self._tunnel = Tunnel(websocket=answer.upgrade == WEBSOCKET)
        client.send(b"%bConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (answer.passed, answer.upgrade))
        if ahead := client.splice():
            upstream.write(ahead)
        if rest := upstream.splice():
            client.send(self._tunnel.take(rest))
        if client.ended:
            self.client_ended()
        self._begun()

    def _begun(self) -> None:
        """What may never end has begun: much can have changed since it was asked for."""
        if self._instance.leaving:
            self.restart()
        else:
            self.look_again()

    def client_ahead(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.write(data)

    def client_ended(self) -> None:
        if not self._tunnel:
            # Its answer is still awaited; only an event stream is what nobody awaits the end of.
            if self.endless:
                self.cut()
            return
        self._tunnel.client_ended = True
        if self._upstream is not None:
            self._upstream.write_eof()
        self._close_if_both_ended()

    def upstream_ended(self) -> None:
        assert self._tunnel is not None
        self._tunnel.upstream_ended = True
        self._client.end_soon()
        self._close_if_both_ended()

    def _close_if_both_ended(self) -> None:
        if self._tunnel is not None and self._tunnel.ended and self._upstream is not None:
            self._leave()
            self._count()
            self._client.finish(keep=False)

    def restart(self) -> None:
        """A WebSocket ends between two frames of the service, and with a reason; all else just ends."""
        tunnel = self._tunnel
        if tunnel is None or tunnel.frames is None:
            self.cut()
        elif tunnel.frames.between:
            self._part_with(goodbye(SERVICE_RESTART, b"service restart"))
        elif not tunnel.parting:
            tunnel.parting = True
            asyncio.get_running_loop().call_later(self._plane.limits.lingering, self._part_now)

    def look_again(self) -> None:
        if self._upstream is None or self._client.desk.stands(self._decision):
            return
        if self._tunnel is not None and self._tunnel.frames is not None and self._tunnel.frames.between:
            self._part_with(goodbye(POLICY_VIOLATION, b"not authorized any more"))
        else:
            self.cut()

    def _part_with(self, word: bytes) -> None:
        self._client.send(word)
        self._count()
        self._client.part()
        self._leave()

    def _part_now(self) -> None:
        """The rest of the frame did not come."""
        if self._upstream is not None:
            self.cut()

    def _leave(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.leave()

    def cut(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        self._count()
        if self._tunnel:
            self._client.finish(keep=False)
        else:
            self._client.abort()
