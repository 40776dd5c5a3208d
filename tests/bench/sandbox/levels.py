"""The three levels, what a beacon's manifest says at each, and how they are told beside each other."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from tests.bench.hyper.results import Result, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LEVELS = ("none", "private", "strict")
#: Not in /tmp, where programs seldom are: a sandbox has one of its own.
PLACE = "/var/tmp"


def surroundings() -> Result:
    """What the cost of a sandbox grows with: bubblewrap reads all of them for each thing that it mounts."""
    with open("/proc/self/mountinfo") as file:
        count = len(file.readlines())
    return Result("mounts of this machine", str(count), "—", count)


def manifest(service_id: str, level: str, command: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    """`shown`: the folders of this machine that the program needs, whichever its sandbox."""
    said: dict[str, Any] = {"id": service_id, "command": list(command), "probes": {"readiness": "none"}}
    return {**said, "sandbox": level, **({"binds": list(shown)} if level == "strict" else {})}


def beside(
    what: str, taken: Mapping[str, Sequence[float]], most: Mapping[str, str], more: Mapping[str, str]
) -> Iterator[Result]:
    """A line for each level, and for each sandbox what its median is above that of none.

    `most` and `more`: what is wanted of these, by level.
    """
    for level in LEVELS:
        yield times(f"{what}, {level}", taken[level], most.get(level, "—"))
    for level in LEVELS[1:]:
        over = statistics.median(taken[level]) - statistics.median(taken["none"])
        yield Result(f"… {level} − none", f"{over * 1000:.1f} ms", more.get(level, "—"), over)
