"""Requests that the router answers by itself."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.protocol.pages import CORS, error_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.table import Caller
    from runtimes.router.protocol.request_head import RequestHead

    #: Makes the answer, once it is known whether the connection closes after it.
    Page = Callable[[bool], bytes]

#: A body up to this length, in bytes, is read and lost for the sake of the connection.
LONGEST_AWAITED = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision: this page, whoever asks."""

    head: RequestHead
    status: int
    page: Page
    series: tuple[str, str] = ("node", "")
    caller: Caller | None = None

    def start(self, plane: Plane, client: Client) -> Handler:
        return LocalAnswer(plane, client, self)


def refusal(head: RequestHead, status: int, message: str, *, kind: str = "node", route: str = "") -> Answer:
    """An error in JSON. Those of the gateway may be read by any page, as its answers."""
    head_only = head.method == b"HEAD"
    fields = (CORS,) if kind == "gateway" else ()

    def make(close: bool) -> bytes:
        return error_page(status, message, fields=fields, close=close, head_only=head_only)

    return Answer(head, status, make, (kind, route))


@dataclass(frozen=True, slots=True)
class Stranger:
    """A decision about somebody who is not known: `otherwise`, unless it asks too often."""

    head: RequestHead
    otherwise: Decision
    series: tuple[str, str] = ("gateway", "")
    caller: Caller | None = None

    def start(self, plane: Plane, client: Client) -> Handler:
        if plane.strangers.admit(plane.address(client, self.head)):
            return self.otherwise.start(plane, client)
        return refusal(self.head, 429, "Too many requests", kind="gateway").start(plane, client)


class LocalAnswer:
    """One answer that is known already. The request's body is lost, and with a long one the connection."""

    __slots__ = ("_answer", "_began", "_client", "_plane")

    def __init__(self, plane: Plane, client: Client, answer: Answer) -> None:
        self._plane = plane
        self._client = client
        self._answer = answer
        self._began = monotonic()

    def whole(self, payload: bytes) -> None:
        self._send()

    def begin(self) -> None:
        """A short body is awaited, so that the connection can go on; a long one is not even asked for."""
        head = self._answer.head
        if head.expects_continue or not 0 <= head.length <= LONGEST_AWAITED:
            self._send()

    def body(self, payload: bytes, *, done: bool) -> None:
        if done:
            self._send()

    def _send(self) -> None:
        client, answer = self._client, self._answer
        keep = client.keeps
        client.send(answer.page(not keep))
        self._plane.answered(client, answer, answer.status, monotonic() - self._began)
        client.finish(keep=keep)

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        self._plane.metrics.in_flight -= 1

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...
