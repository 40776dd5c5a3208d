"""Requests that the router answers by itself."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.pages import error_page

#: A body up to this length, in bytes, is read and lost for the sake of the connection.
LONGEST_AWAITED = 64 * 1024

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.router.client import Client
    from runtimes.router.head import RequestHead
    from runtimes.router.plane import Plane

    #: Makes the answer, once it is known whether the connection goes on.
    Page = Callable[[bool], bytes]


class LocalAnswer:
    """One answer that is known already. The request's body is lost, and with a long one the connection."""

    __slots__ = ("_began", "_client", "_head", "_kind", "_page", "_plane", "_route", "_status")

    def __init__(
        self, plane: Plane, client: Client, head: RequestHead, status: int, page: Page, *, kind: str = "node",
        route: str = "",
    ) -> None:  # fmt: skip
        self._plane = plane
        self._client = client
        self._head = head
        self._status = status
        self._page = page
        self._kind = kind
        self._route = route
        self._began = monotonic()

    def begin(self) -> None:
        """A short body is awaited, so that the connection can go on; a long one is not even asked for."""
        head = self._head
        if head.expects_continue or not 0 <= head.length <= LONGEST_AWAITED:
            self._answer()

    def body(self, payload: bytes, *, done: bool) -> None:
        if done:
            self._answer()

    def _answer(self) -> None:
        client = self._client
        keep = client.keeps
        client.send(self._page(not keep))
        self._plane.answered(
            client, self._head, kind=self._kind, route=self._route, status=self._status, began=self._began
        )
        client.finish(keep=keep)

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None: ...

    def client_lost(self) -> None:
        self._plane.metrics.in_flight -= 1

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...


def error(
    plane: Plane, client: Client, head: RequestHead, status: int, message: str, *, kind: str = "node",
    route: str = "",
) -> LocalAnswer:  # fmt: skip
    """An error in JSON."""
    head_only = head.method == b"HEAD"

    def make(close: bool) -> bytes:
        return error_page(status, message, close=close, head_only=head_only)

    return LocalAnswer(plane, client, head, status, make, kind=kind, route=route)
