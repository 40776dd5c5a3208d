"""One call on its way to an instance of the service that exports the API, and its answer on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router import jsonrpc

if TYPE_CHECKING:
    from runtimes.router.calls import GatewayCall
    from runtimes.router.head import AnswerHead
    from runtimes.router.jsonrpc import Call
    from runtimes.router.upstream import Pool, Upstream


class Delivery:
    """Implements `upstream.Exchange`. The request is small and goes out in one piece."""

    __slots__ = ("_call", "_owner", "_pieces", "_pool", "_size", "_tried", "_upstream", "asked", "index")

    sent = True
    endless = False

    def __init__(self, owner: GatewayCall, index: int, call: Call) -> None:
        self.index = index
        self.asked = 0.0
        self._owner = owner
        self._call = call
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._tried: tuple[Pool, ...] = ()

    def begin(self, now: float) -> None:
        """Leads to `GatewayCall.delivered`."""
        decision = self._owner.decision
        pool = self._pool = self._owner.plane.choose(decision.service_id, decision.backends, self._tried)
        if pool is None:
            self._failed("accepts no connection")
            return
        self.asked = now
        pool.acquire(self, now)

    def abandon(self) -> None:
        """Nobody waits for its answer any more."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        elif self._pool is not None:
            self._pool.finished(self)

    # -- upstream.Exchange

    def connected(self, upstream: Upstream) -> None:
        self._upstream = upstream
        owner, body = self._owner, self._call.body
        prefix = owner.decision.prefixes[upstream.pool.backend.instance]
        length = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        upstream.request(b"POST", b"".join((prefix, owner.id, length, body)))

    def unreachable(self, pool: Pool, reason: str) -> None:
        plane = self._owner.plane
        plane.metrics.failed(self._owner.decision.service_id)
        self._tried = (*self._tried, pool)
        self.begin(self.asked)

    def answered(self, answer: AnswerHead, payload: bytes, *, done: bool) -> None:
        self.asked = 0.0
        if done:
            self._finish(payload)
        elif answer.status == 101:
            self._give_up("switched to a protocol that nobody asked for")
        else:
            self._pieces: list[bytes] = []
            self._size = 0
            self.more(payload, done=False)

    def more(self, payload: bytes, *, done: bool) -> None:
        self._pieces.append(payload)
        self._size += len(payload)
        limit = self._owner.plane.limits.answer
        if self._size > limit:
            self._give_up(f"answered with more than {limit} bytes")
        elif done:
            self._finish(b"".join(self._pieces))

    def broken(self, reason: str) -> None:
        self._upstream = None
        self._failed(f"failed: {reason}")

    def too_late(self) -> None:
        self._give_up(f"did not answer within {self._owner.plane.limits.answering:g} s")

    def upstream_paused(self) -> None: ...

    def upstream_resumed(self) -> None: ...

    def upstream_ended(self) -> None: ...

    def cut(self) -> None: ...

    # -- its end

    def _finish(self, body: bytes) -> None:
        self._upstream = None
        owner, call = self._owner, self._call
        answer = None if call.notification else jsonrpc.answer(call, body, self._name)
        owner.delivered(self, answer)

    def _give_up(self, what: str) -> None:
        self.abandon()
        self._failed(what)

    def _failed(self, what: str) -> None:
        owner, call = self._owner, self._call
        owner.plane.metrics.failed(owner.decision.service_id)
        answer = jsonrpc.failed(call.id, jsonrpc.UNAVAILABLE, f"{self._name} {what}")
        owner.delivered(self, None if call.notification else answer)

    @property
    def _name(self) -> str:
        return self._owner.decision.service_id or "the node"
