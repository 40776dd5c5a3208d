"""Work that takes long is done a little at a time, so that whoever asks meanwhile is answered meanwhile.

All such work of a router shares one turn of the loop: `BUDGET` seconds of it, by turns, and then everything
else that there is to do comes first. A mistake in one piece of work ends that one only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")
#: Seconds of each turn of the loop; a piece of work may take a little longer.
BUDGET = 0.00002


class Work(Generic[T]):
    """Something under way: a generator that yields after each piece, and returns the result."""

    def __init__(
        self, pieces: Generator[None, None, T], done: Callable[[T], None], failed: Callable[[], None]
    ) -> None:
        self.pieces = pieces
        self.done = done
        self.failed = failed
        self.cancelled = False

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        self.cancelled = True
        self.pieces.close()


class Turns:
    """All that is under way in one router."""

    def __init__(self) -> None:
        self._works: deque[Work[Any]] = deque()

    def start(
        self, pieces: Generator[None, None, T], done: Callable[[T], None], failed: Callable[[], None]
    ) -> Work[T]:
        """Calls `done` with what the generator returns, from the loop; `failed` where it raises."""
        work = Work(pieces, done, failed)
        if not self._works:
            asyncio.get_running_loop().call_soon(self._turn)
        self._works.append(work)
        return work

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._works)

    def _turn(self) -> None:
        end = monotonic() + BUDGET
        works = self._works
        while works:
            work = works.popleft()
            if not work.cancelled and self._goes_on(work):
                works.append(work)
            if monotonic() >= end:
                break
        if works:
            asyncio.get_running_loop().call_soon(self._turn)

    def _goes_on(self, work: Work[Any]) -> bool:
        """Does one piece; whether there is more."""
        try:
            return self._has_more(work)
        except Exception as error:
            # What nobody thought of is one client's matter: all others wait for their turn here too.
            message = "unexpected, with what a client or a service sent"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
            work.failed()
            return False

    def _has_more(self, work: Work[Any]) -> bool:
        try:
            next(work.pieces)
        except StopIteration as end:
            work.done(end.value)
            return False
        return True
