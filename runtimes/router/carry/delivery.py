"""One call on its way to an instance of the service that exports the API, and its answer on the way back."""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Any

from runtimes.router.decide.rpc import length_line
from runtimes.router.protocol import jsonrpc, large
from runtimes.router.protocol.answer_head import known_answers
from runtimes.router.protocol.large import SMALL, TINY

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.exchange import Upstream
    from runtimes.router.carry.plane import Plane
    from runtimes.router.carry.pool import Pool
    from runtimes.router.carry.turns import Work
    from runtimes.router.decide.rpc import Deliver
    from runtimes.router.protocol.answer_head import AnswerHead
    from runtimes.router.protocol.large import Pieces


_ANSWERS = known_answers(b"POST")


class Delivery:
    """Implements `exchange.Exchange`. The request is small and goes out in one piece.

    What it delivers is said by the public attributes, before `deliver`. `id` is the request's name, `began`
    the moment (`monotonic`) from which it is counted, `kept` how many bytes of its answer wait for the rest.
    `buffer` is what it has of the plane's.
    """

    # One is made for each request: slots are read by their place, but defaults of the class slowly.
    __slots__ = (
        "_answer",
        "_pool",
        "_tried",
        "_upstream",
        "_work",
        "asked",
        "began",
        "buffer",
        "call_id",
        "client",
        "decision",
        "endless",
        "id",
        "kept",
        "plane",
        "request",
        "sent",
    )  # fmt: skip
    request: bytes
    call_id: Any
    kept: int
    _answer: bytearray

    def __init__(self, plane: Plane, client: Client, decision: Deliver) -> None:
        self.plane = plane
        self.client = client
        self.decision = decision
        self.began = monotonic()
        self.id = b""
        self.asked = 0.0
        self.sent = True
        self.endless = False
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._tried: tuple[Pool, ...] = ()
        self._work: Work[Any] | None = None
        self.buffer = 0

    @abstractmethod
    def delivered(self, answer: bytes | Pieces, now: float) -> None:
        """It is done, since `now`. What is large comes in pieces."""

    def passed(self, answer: bytes, now: float) -> None:
        """As `delivered`, with an answer that came in one piece and goes on as it is: by far the most."""
        self.delivered(answer, now)

    def deliver(self, now: float) -> None:
        """Leads to `delivered`."""
        plane, decision = self.plane, self.decision
        # Most services have one instance, whose connections are kept already.
        pool = plane.pools.get(decision.only)
        if pool is None or self._tried:
            pool = plane.choose(decision.service_id, decision.backends, self._tried)
        if pool is None:
            self._fail("accepts no connection")
            return
        self._pool = pool
        self.asked = now
        pool.acquire(self, now)

    # -- holding.Waiter

    def wait(self) -> bool:
        """Waits for a service that is being switched; False where it may not."""
        decision = self.decision
        return decision.held and self.plane.holding.admit(decision.service_id, self, len(self.request))

    def go_on(self) -> None:
        self.decision = decision = self.decision.by(self.plane.table)
        if decision.refused is None:
            self.deliver(monotonic())
        else:
            self.delivered(jsonrpc.failed(self.call_id, *decision.refused), monotonic())

    def look(self) -> None: ...

    # -- its end, for whoever wants it

    def abandon(self) -> None:
        """Nobody waits for its answer any more."""
        self.plane.holding.leave(self.decision.service_id, self)
        if self._work is not None:
            self._work.cancel()
        self.give_buffer()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        elif self._pool is not None:
            self._pool.finished(self)

    # -- exchange.Exchange

    def connected(self, upstream: Upstream) -> None:
        self._upstream = upstream
        upstream.known = _ANSWERS
        decision, body = self.decision, self.request
        prefix = decision.prefixes[upstream.instance]
        # Most bodies go out as they came, and so does their length, which is part of the head.
        length = decision.length if decision.head.length == len(body) else length_line(len(body))
        write = upstream.write
        write(b"".join((prefix, self.id, length, body)))

    def unreachable(self, reason: str) -> None:
        self.plane.metrics.failed(self.decision.service_id)
        assert self._pool is not None
        self._tried = (*self._tried, self._pool)
        self.deliver(monotonic())

    def complete(self, answer: AnswerHead, payload: bytes, now: float) -> None:
        self._upstream = None
        if len(payload) <= SMALL and jsonrpc.is_usual(self.call_id, payload):
            self.passed(payload, now)
        else:
            self._look_at(payload, now)

    def _look_at(self, body: bytes | bytearray, now: float) -> None:
        """What is large, or has to be written anew."""
        if len(body) <= TINY:
            self.delivered(jsonrpc.answer(self.call_id, bytes(body), self.decision.name), now)
            return
        pieces = large.answer(self.call_id, body, self.decision.name)
        self._work = self.plane.turns.start(pieces, self._looked_at, self.client.abort_all)

    def _looked_at(self, pieces: Pieces) -> None:
        self._work = None
        self.delivered(pieces, monotonic())

    def interim(self, answer: AnswerHead) -> None: ...

    def answered(self, answer: AnswerHead, payload: bytes) -> None:
        if answer.status == 101:
            self._give_up("switched to a protocol that nobody asked for")
            return
        self._answer = bytearray()
        self.kept = 0
        self.more(payload, done=False)

    def more(self, payload: bytes, *, done: bool) -> None:
        if done:
            # It is the next one's already, also where this is too much.
            self._upstream = None
        # Nobody gets half an answer, so it may not stand still in the middle either.
        self.asked = monotonic()
        self._answer += payload
        limit = self.plane.limits.answer
        if self.keep(len(payload)) > limit:
            self._give_up(f"answered with more than {limit} bytes")
        elif not self.take_buffer(len(payload)):
            self._give_up("answered while too much else had to be kept in memory")
        elif done:
            self._look_at(self._answer, self.asked)
        elif self._upstream is not None:
            self._upstream.rest()

    def keep(self, size: int) -> int:
        """Counts bytes of the answer that wait for the rest; returns how many wait for this client."""
        self.kept += size
        return self.kept

    def take_buffer(self, size: int) -> bool:
        """Whether so many bytes more may be kept in memory."""
        self.buffer += size
        return self.plane.buffered.take(size)

    def give_buffer(self) -> None:
        self.plane.buffered.give(self.buffer)
        self.buffer = 0

    def broken(self, reason: str) -> None:
        self._upstream = None
        self._fail(f"failed: {reason}")

    def too_late(self) -> None:
        self._give_up(f"did not answer within {self.plane.limits.answering:g} s")

    def upstream_paused(self) -> None: ...

    def upstream_resumed(self) -> None: ...

    def upstream_ended(self) -> None: ...

    def restart(self) -> None: ...

    def look_again(self) -> None: ...

    def cut(self) -> None: ...

    # -- its end

    def _give_up(self, what: str) -> None:
        self.abandon()
        self._fail(what)

    def _fail(self, what: str) -> None:
        self.plane.metrics.failed(self.decision.service_id)
        answer = jsonrpc.failed(self.call_id, jsonrpc.UNAVAILABLE, f"{self.decision.name} {what}")
        self.delivered(answer, monotonic())
