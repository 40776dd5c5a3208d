"""Which files of a folder are read and written by whatever runs meanwhile: inotify(7), through ctypes.

Whoever asks only whether a file exists is not noticed; neither is what happens in folders made meanwhile. So
a new folder counts as written. Where not everything could be watched, `complete` says so.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x40, 0x80
_OPEN, _CREATE, _DELETE = 0x20, 0x100, 0x200
_OVERFLOW, _IGNORED, _IS_DIR, _ONLY_DIR = 0x4000, 0x8000, 0x40000000, 0x01000000
_WRITES = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_HEAD = struct.Struct("iIII")
#: Folders. A package with more of them is not worth as many watches.
_MOST_FOLDERS = 2000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Seen:
    """Paths below the folder; filled when the watching ends."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    complete: bool = True


@contextmanager
def watching(folder: Path, besides: Collection[str]) -> Iterator[Seen]:
    """Watches a folder and all below it but for these paths.

    All is told at the end: the kernel keeps what happens for us, and says so when it was too much.
    """
    seen = Seen()
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        seen.complete = False
        yield seen
        return
    try:
        watched = _watch_all(fd, folder, besides, seen)
        yield seen
        _take(fd, watched, besides, seen)
    finally:
        os.close(fd)


def _watch_all(fd: int, folder: Path, besides: Collection[str], seen: Seen) -> dict[int, str]:
    watched: dict[int, str] = {}
    mask = _OPEN | _WRITES | _ONLY_DIR
    for path, folders, _ in os.walk(folder):
        relative = os.path.relpath(path, folder)
        prefix = "" if relative == "." else f"{relative}/"
        folders[:] = [name for name in folders if prefix + name not in besides]
        number = _libc.inotify_add_watch(fd, os.fsencode(path), ctypes.c_uint32(mask))
        if number < 0 or len(watched) >= _MOST_FOLDERS:
            seen.complete = False
            return watched
        watched[number] = prefix
    return watched


def _take(fd: int, watched: dict[int, str], besides: Collection[str], seen: Seen) -> None:
    """Everything that happened so far; it is all there, because whoever did it has ended."""
    while True:
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            if mask & _OVERFLOW:
                seen.complete = False
            name = os.fsdecode(data[at - length : at].rstrip(b"\0"))
            if name and number in watched:
                _note(watched[number] + name, mask, besides, seen)


def _note(path: str, mask: int, besides: Collection[str], seen: Seen) -> None:
    if path in besides:
        return
    if mask & _WRITES:
        seen.written.add(path)
    elif not mask & _IS_DIR:
        seen.read.add(path)
