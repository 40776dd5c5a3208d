"""One request that waits for its service to be ready, as its client's connection sees it."""

from __future__ import annotations

import select
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.carry.kept_request import KeptRequest
from runtimes.router.tell.metrics import LEFT

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Hold

_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Held:
    """Implements `handler.Handler` and `holding.Waiter`. Reads no more of a body than comes with its head."""

    __slots__ = ("_began", "_client", "_hold", "_kept", "_plane")

    def __init__(self, plane: Plane, client: Client, hold: Hold) -> None:
        self._plane = plane
        self._client = client
        self._hold = hold
        self._began = monotonic()
        self._kept = KeptRequest(client)

    # -- handler.Handler

    def whole(self, payload: bytes) -> None:
        self._kept.whole = True
        self.body(payload, done=True)

    def begin(self) -> None: ...

    def body(self, payload: bytes, *, done: bool) -> None:
        self._kept.add(payload, done=done)
        if not self._plane.holding.grow(self._hold.service_id, self, len(payload)):
            self._plane.holding.leave(self._hold.service_id, self)
            self._kept.hand_over(self._hold.otherwise)

    def client_ahead(self, data: bytes) -> None: ...

    def client_ended(self) -> None:
        """Who sends nothing more while it waits has left: programs that only stop sending are rare."""
        self._count_as_left()
        self._client.finish(keep=False)

    def client_lost(self) -> None:
        self._count_as_left()

    def client_paused(self) -> None: ...

    def client_resumed(self) -> None: ...

    # -- holding.Waiter

    def go_on(self) -> None:
        """What leads where may be another matter by now, and so may what the client may do."""
        self._kept.hand_over(self._client.desk.decide_again(self._hold.head))

    def look(self) -> None:
        """A connection that is not read says nothing by itself of its client's leaving."""
        if self._client.is_paused and self._has_left():
            self._client.abort_all()

    def _has_left(self) -> bool:
        poll = select.poll()
        poll.register(self._client.transport.get_extra_info("socket").fileno(), _GONE)
        return bool(poll.poll(0))

    # -- inside

    def _count_as_left(self) -> None:
        self._plane.holding.leave(self._hold.service_id, self)
        self._plane.answered(self._client, self._hold, LEFT, monotonic() - self._began)


def held(plane: Plane, client: Client, decision: Hold) -> Handler:
    """Waits, where there is still room for one more."""
    waiting = Held(plane, client, decision)
    if plane.holding.admit(decision.service_id, waiting, len(decision.head.raw)):
        return waiting
    return client.start(decision.otherwise)
