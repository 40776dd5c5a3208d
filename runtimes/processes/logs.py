"""Services' logs: plain files that the programs write themselves, bounded without anybody noticing.

`trim` gives the beginning of a file back to the file system and leaves every offset as it was: no rename,
no copy, no lost line, and nothing for the writer to do. The size that `ls` shows keeps growing; what the disk
holds does not.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from runtimes.processes.log_lines import LineCutter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

#: Bytes of a log that are kept.
KEEP = 10 * 2**20
#: Seconds between two looks at a log that somebody follows.
LOOK_AGAIN = 0.1
#: Bytes before the end of a log among which its last lines are looked for.
LOOK_BACK = 64 * 2**20
#: Bytes above what is kept that are not worth a trim yet.
_SLACK = 2**20
#: How many looks at the logs' sizes go without a look for new ones.
_LOOKS_FOR_NEW = 10
#: A size that file systems may soon refuse to go beyond (ext4 ends at 16 TiB): such a file is begun anew.
_LARGEST = 2**40
_BLOCK = 4096
_CHUNK = 2**18
# fallocate(2): free the range, keep the size.
_PUNCH_HOLE = 0x02 | 0x01


class Sizes:
    """Watches how long the logs in a folder get: every service's, and the node's own.

    A look costs a `stat` for each log; only now and then the folders themselves are read for new ones.
    """

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        self._folder = folder
        self._keep = keep
        self._logs: list[str] = []
        self._known_for = 0

    def logs(self) -> list[str]:
        """All of them; new ones after a while."""
        if self._known_for == 0:
            self._logs = _find_logs(self._folder)
        self._known_for = (self._known_for + 1) % _LOOKS_FOR_NEW
        return self._logs

    def too_long(self, logs: Sequence[str] | None = None) -> list[Path]:
        """Those (of these) that hold more than is kept."""
        return [
            Path(log) for log in (self.logs() if logs is None else logs) if _held(log) > self._keep + _SLACK
        ]


def _find_logs(folder: Path) -> list[str]:
    """A folder that goes while it is looked at is no error."""
    logs = []
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                found = os.scandir(entry.path) if entry.is_dir() else [entry]
                logs += [log.path for log in found if log.name.endswith(".log")]
    return logs


def _held(log: str) -> int:
    """Bytes that the disk holds of it: without its hole, and without what is allocated ahead of its end."""
    try:
        found = os.stat(log)
    except OSError:
        return 0
    return min(found.st_blocks * 512, found.st_size)


def trim_all(logs: Sequence[Path], keep: int = KEEP) -> None:
    """One that cannot be trimmed does not keep the others from it."""
    for log in logs:
        with suppress(OSError):
            trim(log, keep)


def trim(path: Path, keep: int = KEEP) -> None:
    """Frees all but about the last `keep` bytes. A missing file is no error."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(descriptor).st_size
        free = (size - keep) // _BLOCK * _BLOCK
        if size > _LARGEST or (free > _beginning(descriptor) and not punch(descriptor, free)):
            _cut(descriptor, keep)
    finally:
        os.close(descriptor)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines, without their ends. Raises OSError."""
    with open(path, "rb") as file:
        found, cutter, _ = _last(file.fileno(), lines)
    return [*found, *cutter.rest()]


async def follow(path: Path, lines: int = 0) -> AsyncGenerator[str, None]:
    """The last lines, then each new one as it is written, until closed. The file need not exist yet."""
    position, cutter = 0, LineCutter()
    if path.exists():
        with open(path, "rb") as file:
            found, cutter, position = _last(file.fileno(), lines)
        for line in found:
            yield line
    while True:
        chunk, position = _read_on(path, position)
        for line in cutter.feed(chunk):
            yield line
        if not chunk:
            await anyio.sleep(LOOK_AGAIN)


def _read_on(path: Path, position: int) -> tuple[bytes, int]:
    """What was written since; from the beginning when the file has become shorter."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size < position:
                position = 0
            file.seek(max(position, _beginning(file.fileno(), position)))
            chunk = file.read(_CHUNK)
            return chunk, file.tell()
    except FileNotFoundError:
        return b"", 0


def _last(descriptor: int, lines: int) -> tuple[list[str], LineCutter, int]:
    """The last complete lines, the cutter that has the incomplete one begun, and the position after it."""
    end = os.fstat(descriptor).st_size
    start, headless = _find_start(descriptor, end, lines)
    cutter = LineCutter(headless=headless)
    found: list[str] = []
    while start < end and (chunk := os.pread(descriptor, min(_CHUNK, end - start), start)):
        found += cutter.feed(chunk)
        start += len(chunk)
    return (found[-lines:] if lines > 0 else []), cutter, end


def _find_start(descriptor: int, end: int, lines: int) -> tuple[int, bool]:
    """Where the last lines begin, and whether the first one begins before that."""
    first = max(_beginning(descriptor), end - LOOK_BACK)
    start, ends = end, 0
    while start > first:
        begin = max(first, start - _CHUNK)
        chunk = os.pread(descriptor, start - begin, begin)
        ends += chunk.count(b"\n")
        if ends > lines:
            return begin + _after(chunk, ends - lines), False
        start = begin
    return first, first > _beginning(descriptor)


def _after(chunk: bytes, number: int) -> int:
    """The position behind the first `number` ends of lines."""
    position = 0
    for _ in range(number):
        position = chunk.index(b"\n", position) + 1
    return position


def _beginning(descriptor: int, position: int = 0) -> int:
    """Where the data begins from there on, after what was freed."""
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return os.fstat(descriptor).st_size
        return 0


def punch(descriptor: int, length: int, begin: int = 0) -> bool:
    """Whether the file system could free these bytes."""
    libc = ctypes.CDLL(None, use_errno=True)
    offset, size = ctypes.c_int64(begin), ctypes.c_int64(length)
    return bool(libc.fallocate(descriptor, _PUNCH_HOLE, offset, size) == 0)


def _cut(descriptor: int, keep: int) -> None:
    """Without holes: the tail is written anew. A line printed in this moment may be lost."""
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, keep, size - keep)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, data)
