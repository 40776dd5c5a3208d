"""What becomes of the rest that a client sends after its last answer."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.router.carry.connection import Connection
    from runtimes.router.carry.deadlines import Deadlines


class LingeringClose:
    """Loses what a refused client goes on sending, so that it gets to read why (nginx's way and numbers).

    Implements `handler.Handler`. Who pauses for longer than the clock allows, or does not come to an end
    within `at_most` seconds, has seen enough.
    """

    def __init__(self, client: Connection, clock: Deadlines[Connection], at_most: float) -> None:
        self._client = client
        self._clock = clock
        self._until = monotonic() + at_most
        clock.add(client)

    def whole(self, payload: bytes) -> None: ...

    def begin(self) -> None: ...

    def body(self, payload: bytes, *, done: bool) -> None: ...

    def client_ahead(self, data: bytes) -> None:
        if monotonic() < self._until:
            self._clock.add(self._client)

    def client_ended(self) -> None:
        self._client.close()

    def client_lost(self) -> None: ...

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...
