"""Requests that the router answers by itself."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from runtimes.loopback import is_loopback
from runtimes.router.carry.handler import LONGEST_AWAITED
from runtimes.router.decide.decision import refusal
from runtimes.router.protocol.pages import page

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Answer, FromHere, RateLimited


class LocalAnswer:
    """Implements `handler.Handler`: one answer that is known already.

    The request's body is lost, and with a long one the connection.
    """

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
        head_only = answer.head.method == b"HEAD"
        client.send(
            page(
                answer.status,
                answer.body,
                kind=answer.kind,
                fields=answer.fields,
                close=not keep,
                head_only=head_only,
            )
        )
        self._plane.answered(client, answer, answer.status, monotonic() - self._began)
        client.finish(keep=keep)

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        self._plane.metrics.in_flight -= 1

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...


def from_here(plane: Plane, client: Client, decision: FromHere) -> Handler:
    """What is for who asks from this machine, or for everybody else."""
    here = not client.peer or is_loopback(client.peer)
    return client.start(decision.here if here else decision.otherwise)


def rate_limited(plane: Plane, client: Client, decision: RateLimited) -> Handler:
    """What was decided otherwise, unless there was too much of it from the client's address."""
    if plane.anonymous.admit(plane.address(client, decision.head)):
        return client.start(decision.otherwise)
    return LocalAnswer(plane, client, refusal(decision.head, 429, "Too many requests", kind="gateway"))
