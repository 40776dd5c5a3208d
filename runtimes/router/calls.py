"""A POST to the gateway: read whole, checked, delivered call by call, and answered as JSON-RPC 2.0 says.

A single call goes out as it came in. The calls of a batch go out next to each other, a few at a time, each
to the instance that is least busy at that moment; one that fails is an error among the answers.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router import jsonrpc
from runtimes.router.identity import OPEN_METHODS, fields_of
from runtimes.router.jsonrpc import INVALID_PARAMS, NO_SUCH_METHOD, UNAVAILABLE, Call, Malformed
from runtimes.router.pages import page, rpc_page

if TYPE_CHECKING:
    from runtimes.router.client import Client
    from runtimes.router.head import AnswerHead, RequestHead
    from runtimes.router.jsonrpc import Incoming
    from runtimes.router.plane import Plane
    from runtimes.router.table import ApiRoute, Caller
    from runtimes.router.upstream import Pool, Upstream

#: Calls of one batch that are on their way at the same time.
AT_A_TIME = 32
_REQUEST = (
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"%bX-Request-Id: %b\r\n%bContent-Length: %d\r\n\r\n"
)


class GatewayCall:
    """Implements `client.Handler`. `caller` is None for somebody who may only log in."""

    __slots__ = (
        "_answers",
        "_api",
        "_batch",
        "_began",
        "_calls",
        "_client",
        "_head",
        "_left",
        "_next",
        "_pieces",
        "_size",
        "_under_way",
        "caller",
        "id",
        "plane",
        "route",
    )  # fmt: skip

    def __init__(
        self, plane: Plane, client: Client, head: RequestHead, api: str, caller: Caller | None
    ) -> None:
        self.plane = plane
        self.caller = caller
        self.id = plane.request_id(head)
        self.route: ApiRoute | None = None
        self._client = client
        self._head = head
        self._api = api
        self._began = monotonic()
        self._pieces: list[bytes] = []
        self._size = 0
        self._calls: tuple[Call | Malformed, ...] = ()
        self._answers: list[bytes | None] = []
        self._batch = False
        self._next = self._left = 0
        self._under_way: set[Delivery] = set()

    # -- client.Handler

    def begin(self) -> None:
        if self._head.length > self.plane.limits.request:
            self._too_large()
        else:
            self._client.send_continue()

    def body(self, payload: bytes, *, done: bool) -> None:
        if done and not self._pieces:
            self._deliver(jsonrpc.parse(payload))
            return
        self._pieces.append(payload)
        self._size += len(payload)
        if self._size > self.plane.limits.request:
            self._too_large()
        elif done:
            whole = b"".join(self._pieces)
            self._pieces = []
            self._deliver(jsonrpc.parse(whole))

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        for delivery in list(self._under_way):
            delivery.abandon()
        self._under_way.clear()
        self._count(499)

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...

    # -- delivering

    def _deliver(self, incoming: Incoming) -> None:
        calls = self._calls = incoming.calls
        self._batch = incoming.batch
        self._left = len(calls)
        self._answers = [None] * len(calls)
        self.route = self.plane.table.api(self._api, "rpc")
        self._deliver_more()

    def _deliver_more(self) -> None:
        while self._next < len(self._calls) and len(self._under_way) < AT_A_TIME:
            index = self._next
            self._next += 1
            self._deliver_one(index, self._calls[index])

    def _deliver_one(self, index: int, call: Call | Malformed) -> None:
        if isinstance(call, Malformed):
            self._note(index, call.answer)
            return
        refusal = self._refusal(call)
        if refusal is not None:
            self._note(index, None if call.notification else refusal)
            return
        delivery = Delivery(self, index, call)
        self._under_way.add(delivery)
        delivery.begin()

    def _refusal(self, call: Call) -> bytes | None:
        """Why a call is not delivered; None when it is."""
        if not self._api:
            message = "the parameter api is missing: /_atek/gateway?api=ID"
            return jsonrpc.failed(call.id, INVALID_PARAMS, message)
        caller, route = self.caller, self.route
        if caller is None and call.method not in OPEN_METHODS:
            return jsonrpc.failed(call.id, UNAVAILABLE, "Not authorized")
        if route is None:
            message = f"No service available which matches {self._api}"
            return jsonrpc.failed(call.id, NO_SUCH_METHOD, message)
        if caller is not None and not caller.may_call(self._api):
            message = f"Not authorized: this service may not call {self._api}"
            return jsonrpc.failed(call.id, UNAVAILABLE, message)
        if not route.targets:
            message = f"No service available which matches {self._api}: {route.service.id} is not ready"
            return jsonrpc.failed(call.id, NO_SUCH_METHOD, message)
        return None

    def delivered(self, delivery: Delivery, answer: bytes | None) -> None:
        """One call is done. None is the answer to a notification."""
        self._under_way.discard(delivery)
        self._note(delivery.index, answer)
        if self._next < len(self._calls):
            self._deliver_more()

    def _note(self, index: int, answer: bytes | None) -> None:
        self._answers[index] = answer
        self._left -= 1
        if not self._left:
            self._answer()

    def _answer(self) -> None:
        client = self._client
        keep = client.keeps
        answers = [answer for answer in self._answers if answer is not None]
        if answers:
            status, body = 200, jsonrpc.join(answers) if self._batch else answers[0]
            client.send(rpc_page(body, close=not keep))
        else:
            status = 204
            client.send(page(204, close=not keep))
        self._count(status)
        client.finish(keep=keep)

    def _too_large(self) -> None:
        message = f"the request is larger than {self.plane.limits.request} bytes"
        body = jsonrpc.failed(None, jsonrpc.INVALID_REQUEST, message)
        self._client.send(page(413, body, kind=b"application/json", close=True))
        self._count(413)
        self._client.finish(keep=False)

    def _count(self, status: int) -> None:
        self.plane.answered(
            self._client, self._head, kind="gateway", route=self._api if self.route else "", status=status,
            began=self._began, caller=self.caller, request_id=self.id,
        )  # fmt: skip

    def request_head(self, path: str, length: int) -> bytes:
        """None of the client's own fields but those that belong to a trace."""
        trace = self._head.traceparent
        return _REQUEST % (
            path.encode(), fields_of(self.caller), self.id, b"traceparent: %b\r\n" % trace if trace else b"",
            length,
        )  # fmt: skip


class Delivery:
    """One call on its way to an instance. Implements `upstream.Exchange`."""

    __slots__ = (
        "_call", "_owner", "_pieces", "_pool", "_size", "_targets", "_tried", "_upstream", "endless", "index",
        "sent",
    )  # fmt: skip

    def __init__(self, owner: GatewayCall, index: int, call: Call) -> None:
        assert owner.route is not None
        self.index = index
        self._owner = owner
        self._call = call
        self._targets = owner.route.targets
        self._pool: Pool | None = None
        self._upstream: Upstream | None = None
        self._tried: list[Pool] = []
        self._pieces: list[bytes] = []
        self._size = 0
        self.sent = True
        self.endless = False

    def begin(self) -> None:
        pool = self._owner.plane.choose([target.backend for target in self._targets], self._tried)
        if pool is None:
            self._failed("accepts no connection")
            return
        self._pool = pool
        pool.acquire(self)

    def abandon(self) -> None:
        """Nobody waits for its answer any more."""
        self._owner.plane.answering.drop(self)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        elif self._pool is not None:
            self._pool.finished(self)

    # -- upstream.Exchange

    def connected(self, upstream: Upstream) -> None:
        self._upstream = upstream
        body = self._call.body
        upstream.request(b"POST", self._owner.request_head(self._path(), len(body)) + body)
        self._owner.plane.answering.add(self)

    def _path(self) -> str:
        assert self._pool is not None
        instance = self._pool.backend.instance
        return next(target.path for target in self._targets if target.backend.instance == instance)

    def unreachable(self, pool: Pool, reason: str) -> None:
        owner = self._owner
        assert owner.route is not None
        self._tried.append(pool)
        service_id = owner.route.service.id
        owner.plane.metrics.failed(service_id)
        left = owner.plane.still_there(service_id, [target.backend for target in self._targets])
        self._targets = tuple(target for target in self._targets if target.backend in left)
        self.begin()

    def answered(self, answer: AnswerHead, payload: bytes, *, done: bool) -> None:
        self._owner.plane.answering.drop(self)
        if answer.status == 101:
            self._give_up("switched to a protocol that nobody asked for")
        elif done:
            self._finish(payload)
        else:
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
        self._owner.plane.answering.drop(self)
        self._upstream = None
        self._failed(f"failed: {reason}")

    def too_late(self) -> None:
        """Nothing came back within the limit."""
        self._give_up(f"did not answer within {self._owner.plane.limits.answering:g} s")

    def upstream_paused(self) -> None: ...

    def upstream_resumed(self) -> None: ...

    def upstream_ended(self) -> None: ...

    def cut(self) -> None: ...

    # -- its end

    def _finish(self, body: bytes) -> None:
        self._upstream = None
        call = self._call
        answer = None if call.notification else jsonrpc.answer(call, body, self._name)
        self._owner.delivered(self, answer)

    def _give_up(self, what: str) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
        self._failed(what)

    def _failed(self, what: str) -> None:
        owner, call = self._owner, self._call
        assert owner.route is not None
        owner.plane.metrics.failed(owner.route.service.id)
        answer = jsonrpc.failed(call.id, UNAVAILABLE, f"{self._name} {what}")
        owner.delivered(self, None if call.notification else answer)

    @property
    def _name(self) -> str:
        assert self._owner.route is not None
        return self._owner.route.service.id or "the node"
