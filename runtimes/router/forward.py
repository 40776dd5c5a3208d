"""One request on its way to an instance, and the answer on its way back; nothing is kept of either.

Bodies are passed on as they come, in both directions, and whoever cannot keep up stops the other side's
reading. After `101 Switching Protocols` it is a tunnel. A connection that is refused before anything was
sent leads to another instance; nothing else is tried twice.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.body import LAST_CHUNK, chunk
from runtimes.router.identity import fields_of, passed_fields
from runtimes.router.pages import error_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtimes.router.client import Client
    from runtimes.router.head import AnswerHead, RequestHead
    from runtimes.router.plane import Plane
    from runtimes.router.table import Backend, Caller, ServiceRoute
    from runtimes.router.upstream import Pool, Upstream

#: Bytes of a body that wait for a connection before the client has to.
MOST_WAITING = 64 * 1024
#: Methods whose requests say their length even when it is 0 (RFC 9110, section 8.6).
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


class Forward:
    """Implements `client.Handler` towards the client and `upstream.Exchange` towards the instance."""

    __slots__ = (
        "_answered", "_backends", "_began", "_caller", "_chunked", "_client", "_client_ended", "_head", "_id",
        "_keep", "_kind", "_paths", "_plane", "_pool", "_route", "_status", "_tried", "_tunnel", "_upstream",
        "_upstream_ended", "_waiting", "endless", "sent",
    )  # fmt: skip

    def __init__(
        self,
        plane: Plane,
        client: Client,
        head: RequestHead,
        route: ServiceRoute,
        backends: Sequence[Backend],
        caller: Caller | None,
        *,
        kind: str,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        """`paths`: by instance, where it is not the request's own path."""
        self._plane = plane
        self._client = client
        self._head = head
        self._route = route
        self._backends = backends
        self._caller = caller
        self._kind = kind
        self._paths = paths
        self._began = monotonic()
        self._id = plane.request_id(head)
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._tried: list[Pool] = []
        self._waiting: list[bytes] = []
        self._answered = self._chunked = self._tunnel = False
        self._client_ended = self._upstream_ended = False
        self._keep = True
        self._status = 0
        self.sent = False
        self.endless = False

    # -- the request

    def begin(self) -> None:
        pool = self._plane.choose(self._backends, self._tried)
        if pool is None:
            self._no_instance()
            return
        self._pool = pool
        pool.acquire(self)

    def connected(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._client.send_continue()
        upstream.request(self._head.method, self._request_head())
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for data in waiting:
                upstream.write(data)
            self._client.resume_body()
        if self.sent:
            self._plane.answering.add(self)

    def unreachable(self, pool: Pool, reason: str) -> None:
        self._tried.append(pool)
        self._plane.metrics.failed(self._route.id)
        self._backends = self._plane.still_there(self._route.id, self._backends)
        self.begin()

    def body(self, payload: bytes, *, done: bool) -> None:
        data = payload
        if self._head.length < 0:
            data = chunk(payload) + (LAST_CHUNK if done else b"")
        self.sent = done
        upstream = self._upstream
        if upstream is None:
            self._wait_with(data)
            return
        if data:
            upstream.write(data)
        if done and not self._answered:
            self._plane.answering.add(self)

    def _wait_with(self, data: bytes) -> None:
        if data:
            self._waiting.append(data)
        if sum(map(len, self._waiting)) > MOST_WAITING:
            self._client.pause_body()

    def _request_head(self) -> bytes:
        head, plane = self._head, self._plane
        target = head.target if self._paths is None or self._pool is None else self._path()
        lines = [b"%b %b HTTP/1.1\r\n" % (head.method, target), passed_fields(plane.table, head)]
        if head.length > 0 or (head.length == 0 and head.method in _WITH_BODY):
            lines.append(b"Content-Length: %d\r\n" % head.length)
        elif head.length < 0:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        if head.upgrade == b"websocket" and not head.length:
            lines.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        if not head.authority:
            lines.append(b"Host: localhost\r\n")
        lines += [fields_of(self._caller), b"X-Request-Id: %b\r\n" % self._id, self._origin(), b"\r\n"]
        return b"".join(lines)

    def _path(self) -> bytes:
        assert self._paths is not None and self._pool is not None
        return self._paths[self._pool.backend.instance].encode()

    def _origin(self) -> bytes:
        """Who is at the other end; a proxy's word counts only where it was said that there is one."""
        head, client = self._head, self._client
        peer = client.peer.encode() or b"unix"
        if head.forwarded_for and client.peer in self._plane.trusted_proxies:
            peer = b"%b, %b" % (head.forwarded_for, peer)
        return b"X-Forwarded-For: %b\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Proto: http\r\n" % (
            peer, head.authority,
        )  # fmt: skip

    # -- the answer

    def answered(self, answer: AnswerHead, payload: bytes, *, done: bool) -> None:
        self._plane.answering.drop(self)
        self._answered = True
        self._status = answer.status
        if answer.status == 101:
            self._switch(answer)
            return
        client = self._client
        self.endless = answer.endless or answer.length == -2
        close, framing = self._framing(answer)
        self._keep = close is not _CLOSE
        client.send(b"%b%b%b\r\n" % (answer.passed, framing, close))
        self._pass(payload)
        if done:
            self._complete()

    def _framing(self, answer: AnswerHead) -> tuple[bytes, bytes]:
        """The Connection and the Transfer-Encoding field. Chunks are unknown to HTTP/1.0."""
        close = b"" if self._client.keeps else _CLOSE
        if not self._head.http_1_0:
            self._chunked = answer.length < 0
            return close, _CHUNKED if self._chunked else b""
        if answer.length < 0:
            return _CLOSE, b""
        return close or _KEEP, b""

    def more(self, payload: bytes, *, done: bool) -> None:
        if self._tunnel:
            self._client.send(payload)
            return
        self._pass(payload)
        if done:
            self._complete()

    def _pass(self, payload: bytes) -> None:
        if payload:
            self._client.send(chunk(payload) if self._chunked else payload)

    def _complete(self) -> None:
        self._upstream = None
        if self._chunked:
            self._client.send(LAST_CHUNK)
        self._count()
        self._client.finish(keep=self._keep)

    def broken(self, reason: str) -> None:
        self._plane.answering.drop(self)
        self._upstream = None
        if self._tunnel:
            self._count()
            self._client.finish(keep=False)
            return
        self._plane.metrics.failed(self._route.id)
        if self._answered:
            self._count()
            self._client.abort()
        else:
            self._fail(502, f"{self._name} failed: {reason}")

    def too_late(self) -> None:
        """Nothing came back within the limit."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        self._plane.metrics.failed(self._route.id)
        self._fail(504, f"{self._name} did not answer within {self._plane.limits.answering:g} s")

    def _no_instance(self) -> None:
        if self._tried:
            self._fail(502, f"{self._name} accepts no connection")
        else:
            self._fail(503, f"{self._name} is not ready")

    @property
    def _name(self) -> str:
        return self._route.id or "the node"

    def _fail(self, status: int, message: str) -> None:
        client, self._status = self._client, status
        keep = client.keeps
        client.send(error_page(status, message, close=not keep, head_only=self._head.method == b"HEAD"))
        self._count()
        client.finish(keep=keep)

    def _count(self) -> None:
        self._plane.answered(
            self._client, self._head, kind=self._kind, route=self._route.id, status=self._status,
            began=self._began, caller=self._caller, request_id=self._id,
        )  # fmt: skip

    # -- back-pressure, and clients that leave

    def client_lost(self) -> None:
        self._plane.answering.drop(self)
        if not self._status:
            # What proxies write down for a client that did not wait (nginx's number).
            self._status = 499
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
        if answer.upgrade != b"websocket" or self._head.upgrade != b"websocket":
            self._answered = False
            self._upstream = None
            upstream.abandon()
            self.broken("it switched to a protocol that nobody asked for")
            return
        self._tunnel = self.endless = True
        client.send(b"%bConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % answer.passed)
        if ahead := client.splice():
            upstream.write(ahead)
        if rest := upstream.splice():
            client.send(rest)

    def client_ahead(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.write(data)

    def client_ended(self) -> None:
        self._client_ended = True
        if self._upstream is not None:
            self._upstream.write_eof()
        self._close_if_both_ended()

    def upstream_ended(self) -> None:
        self._upstream_ended = True
        self._client.write_eof()
        self._close_if_both_ended()

    def _close_if_both_ended(self) -> None:
        if self._client_ended and self._upstream_ended and self._upstream is not None:
            upstream, self._upstream = self._upstream, None
            upstream.leave()
            self._count()
            self._client.finish(keep=False)

    def cut(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        self._count()
        if self._tunnel:
            self._client.finish(keep=False)
        else:
            self._client.abort()


_CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
