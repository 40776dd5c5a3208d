"""One request to an instance and its answer: what is told of them, and the connection that carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.router.protocol.answer_head import AnswerHead, Answers


class Upstream(Protocol):
    """A connection to an instance. It is its exchange's own from `connected` until the answer is complete.

    `instance` is the name of whoever is at its other end; `proof` a line of a request's head that shows it
    who asks, with the end of the line before it instead of its own. `known` is the memory of answers to the
    exchange's method, which has to be set before anything comes back.
    """

    instance: str
    proof: bytes
    exchange: Exchange | None
    known: Answers
    write: Callable[[bytes], None]
    idle_since: float
    keep_for: float

    def is_fresh(self, now: float) -> bool:
        """Whether a request may be risked on one that was idle."""
        ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def rest(self) -> None:
        """Reads on in the next turn of the loop: one connection's bytes do not keep the others waiting."""
        ...

    def splice(self) -> bytes:
        """From now on bytes go through as they are; returns those that came already."""
        ...

    def write_eof(self) -> None: ...

    def close(self) -> None:
        """Whatever was written is still sent."""
        ...

    def leave(self) -> None:
        """The end of a tunnel: what is on its way still arrives, if the instance takes it in time."""
        ...

    def abandon(self) -> None:
        """Its exchange is of no interest any more, and half an answer cannot be taken back."""
        ...


class Exchange(Protocol):
    """Told what happens, in this order, from the loop. After `connected`, `complete` alone is most usual."""

    #: Whether all of the request was handed to the upstream.
    sent: bool
    #: Since when an answer, or the rest of it, is waited for (`monotonic`); 0 while none is.
    asked: float
    #: An exchange that may never end by itself (a WebSocket, an event stream): draining in a hurry closes it.
    endless: bool

    def connected(self, upstream: Upstream) -> None: ...

    def unreachable(self, reason: str) -> None:
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

    def look_again(self) -> None:
        """For one that is endless: who may what is another matter now, and it may have to end."""
        ...

    def cut(self) -> None:
        """Has to end now, for a node that ends."""
        ...
