"""A POST to the gateway: read whole, checked, delivered call by call, and answered as JSON-RPC 2.0 says.

A single call goes out as it came in. The calls of a batch go out next to each other, a few at a time, each
to the instance that is least busy at that moment; one that fails is an error among the answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router import jsonrpc
from runtimes.router.delivery import Delivery
from runtimes.router.identity import OPEN_METHODS, fields_of
from runtimes.router.jsonrpc import INVALID_PARAMS, NO_SUCH_METHOD, UNAVAILABLE, Call, Malformed
from runtimes.router.pages import page, rpc_page

if TYPE_CHECKING:
    from runtimes.router.client import Client, Handler
    from runtimes.router.head import RequestHead
    from runtimes.router.plane import Plane
    from runtimes.router.table import Backend, Caller, RouteTable

#: Calls of one batch that are on their way at the same time.
AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class Deliver:
    """A decision: the calls in the body go to whoever exports the API.

    `caller` is None for somebody who may only log in. `refused` is the error that every call gets instead.
    `prefixes` begin the requests to each instance.
    """

    head: RequestHead
    api: str
    caller: Caller | None
    service_id: str
    backends: tuple[Backend, ...]
    prefixes: dict[str, bytes]
    refused: tuple[int, str] | None

    @classmethod
    def make(cls, table: RouteTable, head: RequestHead, api: str, caller: Caller | None) -> Deliver:
        """Everything that can be known before the body."""
        route = table.api(api, "rpc")
        targets = route.targets if route else ()
        return cls(
            head=head,
            api=api if route else "",
            caller=caller,
            service_id=route.service.id if route else "",
            backends=tuple(target.backend for target in targets),
            prefixes={t.backend.instance: _prefix(t.path, head, caller) for t in targets},
            refused=_refusal(table, api, caller),
        )

    def start(self, plane: Plane, client: Client) -> Handler:
        return GatewayCall(plane, client, self)


def _prefix(path: str, head: RequestHead, caller: Caller | None) -> bytes:
    """None of the client's own fields but the one that belongs to a trace."""
    trace = b"traceparent: %b\r\n" % head.traceparent if head.traceparent else b""
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%b%bX-Request-Id: " % (
        path.encode(),
        fields_of(caller),
        trace,
    )


def _refusal(table: RouteTable, api: str, caller: Caller | None) -> tuple[int, str] | None:
    if not api:
        return INVALID_PARAMS, "the parameter api is missing: /_atek/gateway?api=ID"
    route = table.api(api, "rpc")
    if route is None:
        return NO_SUCH_METHOD, f"No service available which matches {api}"
    if caller is not None and not caller.may_call(api):
        return UNAVAILABLE, f"Not authorized: this service may not call {api}"
    if not route.targets:
        return NO_SUCH_METHOD, f"No service available which matches {api}: {route.service.id} is not ready"
    return None


class GatewayCall:
    """Implements `client.Handler`."""

    __slots__ = (
        "_answers", "_batch", "_began", "_calls", "_client", "_left", "_next", "_pieces", "_size",
        "_under_way", "decision", "id", "plane",
    )  # fmt: skip

    def __init__(self, plane: Plane, client: Client, decision: Deliver) -> None:
        self.plane = plane
        self.decision = decision
        self.id = plane.request_id(decision.head)
        self._client = client
        self._began = monotonic()
        self._batch = False
        self._under_way: Delivery | set[Delivery] | None = None

    # -- client.Handler

    def begin(self, payload: bytes, *, done: bool) -> None:
        if done:
            self._deliver(payload)
            return
        self._pieces: list[bytes] = []
        self._size = 0
        if self.decision.head.length > self.plane.limits.request:
            self._too_large()
        else:
            self._client.send_continue()

    def body(self, payload: bytes, *, done: bool) -> None:
        self._pieces.append(payload)
        self._size += len(payload)
        if self._size > self.plane.limits.request:
            self._too_large()
        elif done:
            self._deliver(b"".join(self._pieces))

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        under_way, self._under_way = self._under_way, None
        for delivery in list(under_way) if isinstance(under_way, set) else [under_way]:
            if delivery is not None:
                delivery.abandon()
        # What proxies write down for a client that did not wait (nginx's number).
        self._count(499)

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...

    # -- delivering

    def _deliver(self, body: bytes) -> None:
        call = jsonrpc.single(body)
        if call is None:
            self._deliver_all(jsonrpc.parse(body))
            return
        refusal = self._refusal(call)
        if refusal is not None:
            self._answer(None if call.notification else refusal)
            return
        delivery = self._under_way = Delivery(self, 0, call)
        delivery.begin(self._began)

    def _deliver_all(self, incoming: jsonrpc.Incoming) -> None:
        """A batch, or something that is wrong."""
        self._calls = incoming.calls
        self._batch = incoming.batch
        self._left = len(incoming.calls)
        self._answers: list[bytes | None] = [None] * self._left
        self._next = 0
        self._under_way = set()
        self._deliver_more(self._under_way)

    def _deliver_more(self, under_way: set[Delivery]) -> None:
        while self._next < len(self._calls) and len(under_way) < AT_A_TIME:
            index = self._next
            self._next += 1
            self._deliver_one(index, self._calls[index], under_way)

    def _deliver_one(self, index: int, call: Call | Malformed, under_way: set[Delivery]) -> None:
        if isinstance(call, Malformed):
            self._note(index, call.answer)
            return
        refusal = self._refusal(call)
        if refusal is not None:
            self._note(index, None if call.notification else refusal)
            return
        delivery = Delivery(self, index, call)
        under_way.add(delivery)
        delivery.begin(monotonic())

    def _refusal(self, call: Call) -> bytes | None:
        """Why a call is not delivered; None when it is."""
        decision = self.decision
        if decision.caller is None and call.method not in OPEN_METHODS:
            return jsonrpc.failed(call.id, UNAVAILABLE, "Not authorized")
        return jsonrpc.failed(call.id, *decision.refused) if decision.refused else None

    def delivered(self, delivery: Delivery, answer: bytes | None) -> None:
        """One call is done. None is the answer to a notification."""
        under_way = self._under_way
        if not isinstance(under_way, set):
            self._answer(answer)
            return
        under_way.discard(delivery)
        self._note(delivery.index, answer)
        if self._next < len(self._calls):
            self._deliver_more(under_way)

    def _note(self, index: int, answer: bytes | None) -> None:
        self._answers[index] = answer
        self._left -= 1
        if not self._left:
            answers = [each for each in self._answers if each is not None]
            whole = jsonrpc.join(answers) if self._batch else b"".join(answers)
            self._answer(whole if answers else None)

    def _answer(self, answer: bytes | None) -> None:
        client = self._client
        keep = client.keeps
        if answer is None:
            client.send(page(204, close=not keep))
        else:
            client.send(rpc_page(answer, close=not keep))
        self._count(204 if answer is None else 200)
        client.finish(keep=keep)

    def _too_large(self) -> None:
        message = f"the request is larger than {self.plane.limits.request} bytes"
        body = jsonrpc.failed(None, jsonrpc.INVALID_REQUEST, message)
        self._client.send(page(413, body, kind=b"application/json", close=True))
        self._count(413)
        self._client.finish(keep=False)

    def _count(self, status: int) -> None:
        decision = self.decision
        self.plane.answered(
            self._client, decision.head, kind="gateway", route=decision.api, status=status,
            began=self._began, caller=decision.caller, request_id=self.id,
        )  # fmt: skip
