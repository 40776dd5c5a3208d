"""Services' logs: plain files that the programs write themselves, bounded without anybody noticing.

`trim` gives the beginning of a file back to the file system and leaves every offset as it was: no rename,
no copy, no lost line, and nothing for the writer to do. The size that `ls` shows keeps growing; what the disk
holds does not.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

#: Bytes of a log that are kept.
KEEP = 10 * 2**20
#: Seconds between two looks at a log that somebody follows.
LOOK_AGAIN = 0.1
_BLOCK = 4096
_CHUNK = 65536
# fallocate(2): free the range, keep the size.
_PUNCH_HOLE = 0x02 | 0x01


def trim_all(folder: Path, keep: int = KEEP) -> None:
    """Every service's logs, and the node's own; only those that have grown too long are opened."""
    for entry in os.scandir(folder):
        for log in os.scandir(entry.path) if entry.is_dir() else (entry,):
            if log.name.endswith(".log") and log.stat().st_size > keep:
                trim(Path(log.path), keep)


def trim(path: Path, keep: int = KEEP) -> None:
    """Frees all but about the last `keep` bytes. A missing file is no error."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(descriptor).st_size
        free = (size - keep) // _BLOCK * _BLOCK
        if free > _beginning(descriptor) and not _punch(descriptor, free):
            _cut(descriptor, keep)
    finally:
        os.close(descriptor)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines, without their ends. Raises OSError."""
    with open(path, "rb") as file:
        return _text(_last(file.fileno(), lines)[0])


async def follow(path: Path, lines: int = 0) -> AsyncGenerator[str, None]:
    """The last lines, then each new one as it is written, until closed. The file need not exist yet."""
    position, rest = 0, b""
    if path.exists():
        with open(path, "rb") as file:
            data, position = _last(file.fileno(), lines)
        *complete, rest = data.split(b"\n")
        for line in complete:
            yield _line(line)
    while True:
        chunk, position = _read_on(path, position)
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield _line(line)
        if not chunk:
            await anyio.sleep(LOOK_AGAIN)


def _read_on(path: Path, position: int) -> tuple[bytes, int]:
    """What was written since; from the beginning when the file has become shorter."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size < position:
                position = 0
            file.seek(max(position, _beginning(file.fileno())))
            chunk = file.read(_CHUNK)
            return chunk, file.tell()
    except FileNotFoundError:
        return b"", 0


def _last(descriptor: int, lines: int) -> tuple[bytes, int]:
    """The last complete and incomplete lines, and the position after them."""
    end = os.fstat(descriptor).st_size
    begin, start, data = _beginning(descriptor), end, b""
    while start > begin and data.count(b"\n") <= lines:
        start = max(begin, start - _CHUNK)
        data = os.pread(descriptor, end - start, start)
    wanted = data.split(b"\n")
    incomplete = wanted.pop()
    if lines <= 0:
        return incomplete, end
    return b"\n".join([*wanted[-lines:], incomplete]), end


def _beginning(descriptor: int) -> int:
    """Where the data begins, after what was freed."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return os.fstat(descriptor).st_size
        return 0


def _punch(descriptor: int, length: int) -> bool:
    """Whether the file system could free the first bytes."""
    libc = ctypes.CDLL(None, use_errno=True)
    offset, size = ctypes.c_int64(0), ctypes.c_int64(length)
    return bool(libc.fallocate(descriptor, _PUNCH_HOLE, offset, size) == 0)


def _cut(descriptor: int, keep: int) -> None:
    """Without holes: the tail is written anew. A line printed in this moment may be lost."""
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, keep, size - keep)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, data)


def _text(data: bytes) -> list[str]:
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return [_line(line) for line in lines]


def _line(line: bytes) -> str:
    return line.lstrip(b"\0").decode("utf-8", "replace")
