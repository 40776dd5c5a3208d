"""One line of the table."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Result:
    """`measured` and `wanted` are for a reader; `value` is the number itself, in seconds or as a ratio."""

    what: str
    measured: str
    wanted: str
    value: float


def times(what: str, taken: Sequence[float], wanted: str) -> Result:
    """The median and the 99th percentile of times in seconds."""
    ordered = sorted(taken)
    median = statistics.median(ordered)
    late = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return Result(what, f"{median * 1000:.2f} ms, p99 {late * 1000:.2f} ms", wanted, median)
