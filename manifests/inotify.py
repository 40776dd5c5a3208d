"""The kernel's own events of folders, without a thread: a few calls of libc around one descriptor.

Idle costs nothing and an event arrives within a millisecond, which a polling watcher cannot have both.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

import anyio

ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
ISDIR = 0x40000000
ONLYDIR = 0x1000000

#: What can change the files of a folder, or the folder.
FILES = ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
GONE = DELETE_SELF | MOVE_SELF | UNMOUNT | IGNORED

_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024


class Event(NamedTuple):
    """What happened (`mask`) to `name` in the folder of `watch`; an overflow has watch -1."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One queue of events. Raises OSError where the kernel gives none (limits, or another system)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, folder: str, mask: int = FILES) -> int:
        """Watches a folder; the same number again for one that is watched already. Raises OSError."""
        return self._call("inotify_add_watch", self._descriptor, os.fsencode(folder), mask | ONLYDIR)

    def remove(self, watch: int) -> None:
        """Stops watching; one that is gone already is no error."""
        self._libc.inotify_rm_watch(self._descriptor, watch)

    async def wait(self) -> None:
        """Returns once there are events to read."""
        await anyio.wait_readable(self._descriptor)

    def read(self) -> list[Event]:
        """The events until now; an empty list when there are none."""
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return []
        return list(_parse(data))

    def close(self) -> None:
        """Safe to call again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _call(self, function: str, *arguments: object) -> int:
        try:
            result = int(getattr(self._libc, function)(*arguments))
        except AttributeError as error:
            raise OSError(f"this system has no {function}") from error
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{function}: {os.strerror(number)}")
        return result


def _parse(data: bytes) -> list[Event]:
    events = []
    position = 0
    while position < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        name = data[position : position + length].rstrip(b"\0")
        position += length
        events.append(Event(watch, mask, os.fsdecode(name)))
    return events
