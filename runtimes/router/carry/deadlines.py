"""Time-outs of one length for many things at once.

Whatever waits equally long ends in the order in which it began: an ordered dict is the whole clockwork, and a
look at its front now and then finds what is due. So a request costs no timer of the loop, and ten thousand
idle connections cost nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Deadlines(Generic[T]):
    """`expire` is called with what was not dropped `seconds` after it was added."""

    __slots__ = ("_ends", "_expire", "seconds")

    def __init__(self, seconds: float, expire: Callable[[T], None]) -> None:
        self.seconds = seconds
        self._expire = expire
        self._ends: OrderedDict[T, float] = OrderedDict()

    def add(self, item: T) -> None:
        """Its time begins now; once more for what is waiting already."""
        self._ends.pop(item, None)
        self._ends[item] = monotonic() + self.seconds

    def start(self, item: T) -> None:
        """As `add`, but what is waiting already has waited since then."""
        if item not in self._ends:
            self._ends[item] = monotonic() + self.seconds

    def drop(self, item: T) -> None:
        self._ends.pop(item, None)

    def __len__(self) -> int:
        return len(self._ends)

    def sweep(self) -> None:
        """Expires what is due."""
        now = monotonic()
        while self._ends:
            item, end = next(iter(self._ends.items()))
            if end > now:
                return
            del self._ends[item]
            self._expire(item)
