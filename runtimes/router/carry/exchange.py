"""What a connection to an instance carries: one request and its answer, as the connection sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runtimes.router.carry.pool import Pool
    from runtimes.router.carry.upstream import Upstream
    from runtimes.router.protocol.request_head import AnswerHead


class Exchange(Protocol):
    """Told what happens, in this order, from the loop. After `connected`, `complete` alone is most usual."""

    #: Whether all of the request was handed to the upstream.
    sent: bool
    #: Since when an answer, or the rest of it, is waited for (`monotonic`); 0 while none is.
    asked: float
    #: An exchange that may never end by itself (a WebSocket, an event stream): draining in a hurry closes it.
    endless: bool

    def connected(self, upstream: Upstream) -> None: ...

    def unreachable(self, pool: Pool, reason: str) -> None:
        """Nothing was sent: another instance may be tried."""
        ...

    def complete(self, answer: AnswerHead, payload: bytes, now: float) -> None:
        """The whole answer, which came in one piece. The upstream is the next one's already.

        `now` is the moment (`monotonic`); asking the clock is not cheap enough to do it twice.
        """
        ...

    def interim(self, answer: AnswerHead) -> None:
        """What comes before the answer, for example 103 Early Hints."""
        ...

    def answered(self, answer: AnswerHead, payload: bytes) -> None:
        """The head, and what of the body came with it. `more` follows."""
        ...

    def more(self, payload: bytes, *, done: bool) -> None: ...

    def broken(self, reason: str) -> None:
        """The answer will not be completed."""
        ...

    def upstream_paused(self) -> None:
        """It takes no more at the moment."""
        ...

    def upstream_resumed(self) -> None: ...

    def upstream_ended(self) -> None:
        """In a tunnel: it will send nothing more."""
        ...

    def too_late(self) -> None:
        """Nothing came back within the limit."""
        ...

    def restart(self) -> None:
        """For one that is endless: its instance leaves, and who is connected to it may connect anew."""
        ...

    def cut(self) -> None:
        """Has to end now, for a node that ends."""
        ...
