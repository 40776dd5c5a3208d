"""A POST to the gateway: read whole, checked, delivered call by call, and answered as JSON-RPC 2.0 says.

A single call goes out as it came in. The calls of a batch go out next to each other, a few at a time, each
to the instance that is least busy at that moment; one that fails is an error among the answers.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.carry.delivery import Delivery
from runtimes.router.carry.handler import LONGEST_AWAITED
from runtimes.router.carry.sending import Sending
from runtimes.router.protocol import jsonrpc, large
from runtimes.router.protocol.jsonrpc import UNAVAILABLE, Call, Malformed
from runtimes.router.protocol.large import SMALL
from runtimes.router.protocol.pages import CORS, page, rpc_head
from runtimes.router.tell.metrics import LEFT

if TYPE_CHECKING:
    from runtimes.router.protocol.jsonrpc import Incoming
    from runtimes.router.protocol.large import Pieces

#: Calls of one batch that are on their way at the same time.
AT_A_TIME = 32


class SingleCall(Delivery):
    """Implements `handler.Handler`; hands over to a `Batch` what is not one call in the usual form."""

    __slots__ = ("_pieces",)

    # -- handler.Handler

    def whole(self, payload: bytes) -> None:
        plane, decision = self.plane, self.decision
        if len(payload) > plane.limits.request:
            self._too_large()
            return
        self.id = decision.head.request_id or next(plane.ids)
        if len(payload) > SMALL:
            self._work = plane.turns.start(large.parse(payload), self._parsed, self.client.abort_all)
            return
        call_id = jsonrpc.single(payload)
        if call_id is None or decision.caller is None:
            incoming = jsonrpc.parse(payload, plain=decision.caller is None)
            self.client.hand_over(Batch(self, incoming))
        else:
            self.request = payload
            self.call_id = call_id
            if decision.refused is None:
                self.deliver(self.began)
            elif not self.wait():
                self.delivered(jsonrpc.failed(call_id, *decision.refused), self.began)

    def _parsed(self, incoming: Incoming) -> None:
        self._work = None
        self.client.hand_over(Batch(self, incoming))

    def begin(self) -> None:
        self._pieces: list[bytes] = []
        decision = self.decision
        if decision.head.length > self._most:
            self._too_large()
        elif decision.refused and not decision.held and not 0 <= decision.head.length <= LONGEST_AWAITED:
            code, message = decision.refused
            self._refuse(403 if code == UNAVAILABLE else 404, code, message)
        else:
            self.client.send_continue()

    def body(self, payload: bytes, *, done: bool) -> None:
        self._pieces.append(payload)
        fits = self.take_buffer(len(payload))
        if self.buffer > self._most:
            self._too_large()
        elif not fits:
            self._refuse(503, UNAVAILABLE, "too much has to be kept in memory at the moment")
        elif done:
            self.decision = self.decision.by(self.plane.table)
            self.whole(b"".join(self._pieces))

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        self.abandon()
        self.plane.answered(self.client, self.decision, LEFT, monotonic() - self.began, self.id)

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...

    # -- delivering

    @property
    def _most(self) -> int:
        """How many bytes of a body are gathered."""
        limits = self.plane.limits
        return limits.request if self.decision.caller else min(limits.login, limits.request)

    def delivered(self, answer: bytes | Pieces, now: float) -> None:
        buffer, self.buffer = self.buffer, 0
        if isinstance(answer, bytes):
            self.plane.buffered.give(buffer)
            self.passed(answer, now)
            return
        sending = Sending(
            self.plane, self.client, self.decision, answer,
            began=self.began, request_id=self.id, buffer=buffer,
        )  # fmt: skip
        self.client.hand_over(sending)

    def passed(self, answer: bytes, now: float) -> None:
        plane, decision, client = self.plane, self.decision, self.client
        if self.buffer:
            self.give_buffer()
        # `client.keeps`, where all of the request was read.
        keep = decision.head.keep_alive and not plane.ending
        send = client.send
        if keep:
            send(rpc_head(len(answer)) + answer)
            plane.answered(client, decision, 200, now - self.began, self.id)
            client.next(now)
        else:
            send(rpc_head(len(answer), close=True) + answer)
            plane.answered(client, decision, 200, now - self.began, self.id)
            client.finish(keep=False)

    def _too_large(self) -> None:
        self._refuse(413, jsonrpc.INVALID_REQUEST, f"the request is larger than {self._most} bytes")

    def _refuse(self, status: int, code: int, message: str) -> None:
        """An answer without having read what is asked."""
        client, body = self.client, jsonrpc.failed(None, code, message)
        self.give_buffer()
        client.send(page(status, body, kind=b"application/json", fields=[CORS], close=True))
        self.plane.answered(client, self.decision, status, monotonic() - self.began)
        client.finish(keep=False)


class Part(Delivery):
    """One call of a batch. The answer to a notification is lost."""

    __slots__ = ("_batch", "_index", "_notification")

    def __init__(self, batch: Batch, index: int, call: Call) -> None:
        super().__init__(batch.plane, batch.client, batch.decision)
        self.id = batch.id
        self.request = call.body
        self.call_id = call.id
        self.kept = 0
        self._notification = call.notification
        self._batch = batch
        self._index = index

    def keep(self, size: int) -> int:
        self._batch.kept += size
        super().keep(size)
        return self._batch.kept

    def delivered(self, answer: bytes | Pieces, now: float) -> None:
        self._batch.delivered(self, self._index, None if self._notification else answer)


class Batch:
    """Implements `handler.Handler` for everything that is no single call in the usual form."""

    def __init__(self, first: SingleCall, incoming: Incoming) -> None:
        self.plane = first.plane
        self.decision = first.decision
        self.id = first.id
        self.client = first.client
        self._began = first.began
        self._calls = incoming.calls
        self._is_list = incoming.batch
        self._answers: list[bytes | Pieces | None] = [None] * len(incoming.calls)
        self._left = len(incoming.calls)
        self._next = 0
        self._under_way: set[Part] = set()
        #: Bytes of answers, and of what has come of others: together no more than one answer may have.
        self.kept = 0
        self._buffer, first.buffer = first.buffer, 0

    # -- handler.Handler

    def whole(self, payload: bytes) -> None:
        self._deliver_more()

    def begin(self) -> None: ...

    def body(self, payload: bytes, *, done: bool) -> None: ...

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        self._next = len(self._calls)
        for part in list(self._under_way):
            part.abandon()
        self.plane.buffered.give(self._buffer)
        self.plane.answered(self.client, self.decision, LEFT, monotonic() - self._began, self.id)

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...

    # -- delivering

    def _deliver_more(self) -> None:
        self.decision = self.decision.by(self.plane.table)
        while self._next < len(self._calls) and len(self._under_way) < AT_A_TIME:
            index = self._next
            self._next += 1
            self._deliver_one(index, self._calls[index])

    def _deliver_one(self, index: int, call: Call | Malformed) -> None:
        if isinstance(call, Malformed):
            self._note(index, call.answer)
            return
        refusal = self.decision.refusal(call.id, call.method)
        part = Part(self, index, call)
        if refusal is None:
            self._under_way.add(part)
            part.deliver(part.began)
        elif self.decision.may(call.method) and part.wait():
            self._under_way.add(part)
        else:
            self._note(index, None if call.notification else refusal)

    def delivered(self, part: Part, index: int, answer: bytes | Pieces | None) -> None:
        """One call is done. None is the answer to a notification."""
        self._under_way.discard(part)
        self.kept -= part.kept
        self._buffer, part.buffer = self._buffer + part.buffer, 0
        self._note(index, self._fitting(part, answer))
        self._deliver_more()

    def _fitting(self, part: Part, answer: bytes | Pieces | None) -> bytes | Pieces | None:
        if answer is None:
            return None
        limit = self.plane.limits.answer
        if self.kept + large.size_of(answer) > limit:
            message = f"the answers to this batch are larger than {limit} bytes"
            answer = jsonrpc.failed(part.call_id, UNAVAILABLE, message)
        self.kept += large.size_of(answer)
        return answer

    def _note(self, index: int, answer: bytes | Pieces | None) -> None:
        self._answers[index] = answer
        self._left -= 1
        if not self._left:
            self._answer()

    def _answer(self) -> None:
        client = self.client
        answers = [answer for answer in self._answers if answer is not None]
        if answers:
            pieces = large.join(answers) if self._is_list else large.join(answers)[1:-1]
            sending = Sending(
                self.plane, client, self.decision, pieces,
                began=self._began, request_id=self.id, buffer=self._buffer,
            )  # fmt: skip
            client.hand_over(sending)
            return
        keep = client.keeps
        self.plane.buffered.give(self._buffer)
        client.send(page(204, fields=[CORS], close=not keep))
        self.plane.answered(client, self.decision, 204, monotonic() - self._began, self.id)
        client.finish(keep=keep)
