"""What becomes of the rest that a client sends after its last answer."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client


class Lingering:
    """Loses what a refused client goes on sending, so that it gets to read why (nginx's numbers).

    Implements `handler.Handler`. Who pauses for `Limits.lingering`, or does not come to an end within
    `Limits.lingering_at_most`, has seen enough.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._until = monotonic() + client.plane.limits.lingering_at_most
        client.plane.lingering.add(client)

    def whole(self, payload: bytes) -> None: ...

    def begin(self) -> None: ...

    def body(self, payload: bytes, *, done: bool) -> None: ...

    def client_ahead(self, data: bytes) -> None:
        if monotonic() < self._until:
            self._client.plane.lingering.add(self._client)

    def client_ended(self) -> None:
        self._client.close()

    def client_lost(self) -> None: ...

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...
