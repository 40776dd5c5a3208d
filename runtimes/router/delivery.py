"""One call on its way to an instance of the service that exports the API, and its answer on the way back."""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Any

from runtimes.router import jsonrpc
from runtimes.router.head import known_answers

if TYPE_CHECKING:
    from runtimes.router.calls import Deliver
    from runtimes.router.head import AnswerHead
    from runtimes.router.plane import Plane
    from runtimes.router.upstream import Pool, Upstream


_ANSWERS = known_answers(b"POST")


class Delivery:
    """Implements `upstream.Exchange`. The request is small and goes out in one piece.

    What it delivers is said by the attributes below, before `deliver`.
    """

    plane: Plane
    decision: Deliver
    request: bytes
    call_id: Any = None
    notification = False
    id = b""

    kept = 0
    asked = 0.0
    sent = True
    endless = False
    _pool: Pool | None = None
    _upstream: Upstream | None = None
    _tried: tuple[Pool, ...] = ()

    @abstractmethod
    def delivered(self, answer: bytes | None) -> None:
        """It is done. None is the answer to a notification."""

    def deliver(self, now: float) -> None:
        """Leads to `delivered`."""
        decision = self.decision
        pool = self._pool = self.plane.choose(decision.service_id, decision.backends, self._tried)
        if pool is None:
            self._fail("accepts no connection")
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
        upstream.known = _ANSWERS
        body = self.request
        prefix = self.decision.prefixes[upstream.pool.backend.instance]
        upstream.write(b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (prefix, self.id, len(body), body))

    def unreachable(self, pool: Pool, reason: str) -> None:
        self.plane.metrics.failed(self.decision.service_id)
        self._tried = (*self._tried, pool)
        self.deliver(monotonic())

    def answered(self, answer: AnswerHead, payload: bytes, *, done: bool) -> None:
        if done:
            self._finish(payload)
            return
        if answer.status == 101:
            self._give_up("switched to a protocol that nobody asked for")
            return
        self._answer: list[bytes] = []
        self.more(payload, done=False)

    def more(self, payload: bytes, *, done: bool) -> None:
        if done:
            # It is the next one's already, also where this is too much.
            self._upstream = None
        # Nobody gets half an answer, so it may not stand still in the middle either.
        self.asked = monotonic()
        self._answer.append(payload)
        limit = self.plane.limits.answer
        if self.keep(len(payload)) > limit:
            self._give_up(f"answered with more than {limit} bytes")
        elif done:
            self._finish(b"".join(self._answer))

    def keep(self, size: int) -> int:
        """Counts bytes of the answer that wait for the rest; returns how many wait for this client."""
        self.kept += size
        return self.kept

    def broken(self, reason: str) -> None:
        self._upstream = None
        self._fail(f"failed: {reason}")

    def too_late(self) -> None:
        self._give_up(f"did not answer within {self.plane.limits.answering:g} s")

    def upstream_paused(self) -> None: ...

    def upstream_resumed(self) -> None: ...

    def upstream_ended(self) -> None: ...

    def cut(self) -> None: ...

    # -- its end

    def _finish(self, body: bytes) -> None:
        self._upstream = None
        name = self.decision.service_id or "the node"
        self.delivered(None if self.notification else jsonrpc.answer(self.call_id, body, name))

    def _give_up(self, what: str) -> None:
        self.abandon()
        self._fail(what)

    def _fail(self, what: str) -> None:
        self.plane.metrics.failed(self.decision.service_id)
        name = self.decision.service_id or "the node"
        answer = jsonrpc.failed(self.call_id, jsonrpc.UNAVAILABLE, f"{name} {what}")
        self.delivered(None if self.notification else answer)
