"""One line of the table."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Result:
    """`ours` and `theirs` are for a reader; `value` is the number itself: their quotient, or ours alone.

    `most` is what it should be at the most, None where nothing was promised.
    """

    what: str
    ours: str
    beside: str
    theirs: str
    value: float
    most: float | None = None
    unit: str = "×"


def compare(
    what: str, ours: Sequence[float], beside: str, theirs: Sequence[float], most: float | None = None
) -> Result:
    """Times in seconds, by their medians."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Result(what, spread(ours), beside, spread(theirs), ratio, most)


def spread(taken: Sequence[float]) -> str:
    """The median, and the quarters around it where there are some."""
    scale, unit = (1, "s") if statistics.median(taken) >= 1 else (1000, "ms")
    digits = 2 if unit == "s" else 0
    median = f"{statistics.median(taken) * scale:.{digits}f}"
    if len(taken) < 4:
        return f"{median} {unit}"
    low, _, high = statistics.quantiles(taken, n=4)
    return f"{median} ({low * scale:.{digits}f}–{high * scale:.{digits}f}) {unit}"
