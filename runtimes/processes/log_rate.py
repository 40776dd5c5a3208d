"""A log that grows faster than it may keeps the first of each second, and says how much more there was.

Programs write their logs themselves, and nothing may hold them up (logs.py). So what is too much is given
back to the file system after it was written: a hole, in which one line tells how much is missing. Offsets
stay as they were, also for who reads on. Ten seconds' worth may come at once: starts and failures have much
to say.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.model.quantities import format_size
from runtimes.processes.logs import Sizes, punch, trim_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Seconds whose bytes may be printed at once.
BURST = 10.0
#: What is less is not worth a line that says so.
_LEAST = 4096
#: Bytes of what is left out whose lines are counted, and of a line whose end is looked for.
_COUNTED, _LONGEST_LINE = 64 * 2**20, 65536
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Dropped:
    """What is left out of a log: bytes, and lines where there were not too many to count them."""

    log: Path
    rate: int
    size: int
    lines: int | None

    def __str__(self) -> str:
        lines = "" if self.lines is None else f" in {self.lines} line{'' if self.lines == 1 else 's'}"
        most = format_size(self.rate)
        return f"{format_size(self.size)}{lines} left out: it prints more than {most} a second"


@dataclass(slots=True)
class _Bucket:
    """`room`: bytes that may be written now, as of the time `at`; `size`: of the log then."""

    size: int
    room: float
    at: float


class Rates:
    """Of all logs of a node. `rate_of` says what a service may print in a second, None for any number."""

    def __init__(self, rate_of: Callable[[str], int | None]) -> None:
        self._rate_of = rate_of
        self._buckets: dict[str, _Bucket] = {}

    def too_fast(self, logs: Iterable[str], now: float) -> list[tuple[Path, int, int, int]]:
        """Which logs have too much, from where to where, and the rate. It costs a `stat` for each."""
        found = []
        first = not self._buckets
        for log in logs:
            folder, _, name = log.rpartition("/")
            rate = self._rate_of(folder.rpartition("/")[2]) if name == "service.log" else None
            try:
                size = os.stat(log).st_size
            except OSError:
                self._buckets.pop(log, None)
                continue
            if rate is None:
                continue
            bucket = self._buckets.get(log)
            if bucket is None:
                # What an earlier life of the node left has been there; what appears later is all new.
                bucket = self._buckets[log] = _Bucket(size if first else 0, rate * BURST, now)
            if (begin := _taken(bucket, size, rate, now)) is not None:
                found.append((Path(log), begin, size, rate))
        return found


def _taken(bucket: _Bucket, size: int, rate: int, now: float) -> int | None:
    """Takes what was written out of the bucket; where the rest begins, if there is one."""
    room = min(rate * BURST, bucket.room + rate * (now - bucket.at))
    # A log that became shorter was begun anew.
    grown = size - bucket.size if size >= bucket.size else size
    begin = size - grown + int(room)
    bucket.size, bucket.at, bucket.room = size, now, max(room - grown, 0.0)
    return begin if size - begin >= _LEAST else None


def drop(log: Path, begin: int, end: int, rate: int) -> Dropped | None:
    """Takes whole lines out of a log; None where there was nothing worth it. A missing file is no error."""
    with suppress(OSError), open(log, "r+b", buffering=0) as file:
        descriptor = file.fileno()
        begin, end = _whole_lines(descriptor, begin, end)
        if end - begin < _LEAST:
            return None
        dropped = Dropped(log, rate, end - begin, _count(descriptor, begin, end))
        line = f"({dropped})\n".encode()
        os.pwrite(descriptor, line, begin)
        if not punch(descriptor, end - begin - len(line), begin + len(line)):
            # Without holes: what is printed in this moment goes with it.
            os.ftruncate(descriptor, begin + len(line))
        return dropped
    return None


def _whole_lines(descriptor: int, begin: int, end: int) -> tuple[int, int]:
    head = os.pread(descriptor, _LONGEST_LINE, begin)
    start = begin + head.find(b"\n") + 1
    last = max(start, end - _LONGEST_LINE)
    tail = os.pread(descriptor, end - last, last)
    found = tail.rfind(b"\n")
    return start, (last + found + 1 if found >= 0 else end)


def _count(descriptor: int, begin: int, end: int) -> int | None:
    if end - begin > _COUNTED:
        return None
    lines = 0
    while begin < end and (chunk := os.pread(descriptor, min(_CHUNK, end - begin), begin)):
        lines += chunk.count(b"\n")
        begin += len(chunk)
    return lines


#: Seconds between two looks at how long the logs are, and while one of them grows too fast.
CHECK, CHECK_SOON = 1.0, 0.1


async def keep_bounded(
    folder: Path, rate_of: Callable[[str], int | None], told: Callable[[str, Dropped], None]
) -> None:
    """Looks after the logs in a folder until cancelled. `told` hears of what is left out of a service's."""
    sizes, rates = Sizes(folder), Rates(rate_of)
    pause = CHECK
    while True:
        await anyio.sleep(pause)
        logs = sizes.logs()
        too_fast = rates.too_fast(logs, anyio.current_time())
        for each in too_fast:
            if (dropped := await anyio.to_thread.run_sync(drop, *each)) is not None:
                told(each[0].parent.name, dropped)
        pause = CHECK_SOON if too_fast else CHECK
        if too_long := sizes.too_long(logs):
            await anyio.to_thread.run_sync(trim_all, too_long)
