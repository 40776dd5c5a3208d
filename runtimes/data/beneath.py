"""Walks what a program may change at the same time: by descriptors, so that no link leads out of it.

A path is looked up anew with each call, and each of its folders may have become a link meanwhile. So a
folder is opened from the one that it is in, and never by a link (O_NOFOLLOW); what is done to an entry is
done relative to that. However deep it goes, few descriptors are open: from far below one comes back by
`..`, and goes on only where that is the very folder that one came from.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Folders that are open at a time.
_OPEN = 32
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Level:
    """A folder on the way down: its descriptor (-1: closed), what it is, and what is still below it."""

    descriptor: int
    identity: tuple[int, int]
    name: str = ""
    waiting: list[str] = field(default_factory=list)


def walk_beneath(root: Path) -> Iterator[tuple[int, str, os.stat_result]]:
    """A folder's descriptor, the name of an entry in it, and what that is; folders before what is in them.

    The root itself is no entry. What vanishes meanwhile, or cannot be read, is left out. Raises OSError
    when the root cannot be opened, or is a link. A descriptor is good until the next step.
    """
    descriptor = os.open(root, _FOLDER)
    levels = [_Level(descriptor, _identity(os.fstat(descriptor)))]
    try:
        yield from _entries(levels[-1])
        while levels:
            if not levels[-1].waiting:
                _up(levels)
                continue
            if (level := _down(levels, levels[-1].waiting.pop())) is not None:
                yield from _entries(level)
    finally:
        for level in levels:
            if level.descriptor >= 0:
                os.close(level.descriptor)


def _entries(level: _Level) -> Iterator[tuple[int, str, os.stat_result]]:
    try:
        names = os.listdir(level.descriptor)
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            found = os.stat(name, dir_fd=level.descriptor, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                level.waiting.append(name)
            yield level.descriptor, name, found


def _down(levels: list[_Level], name: str) -> _Level | None:
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=levels[-1].descriptor)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if found.st_dev != levels[0].identity[0]:
        # Another disk is mounted there.
        os.close(descriptor)
        return None
    levels.append(_Level(descriptor, _identity(found), name))
    if len(levels) > _OPEN and (above := levels[-_OPEN]).descriptor >= 0:
        os.close(above.descriptor)
        above.descriptor = -1
    return levels[-1]


def _up(levels: list[_Level]) -> None:
    """To the nearest folder above that is still where it was."""
    left = levels.pop()
    while levels and levels[-1].descriptor < 0:
        with suppress(OSError):
            descriptor = os.open("..", _FOLDER, dir_fd=left.descriptor)
            if _identity(os.fstat(descriptor)) == levels[-1].identity:
                levels[-1].descriptor = descriptor
                break
            os.close(descriptor)
        # It was moved while somebody was below it: what is left of it is where nobody knows.
        levels.pop()
    os.close(left.descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def empty_beneath(root: Path, going_on: Callable[[], None] = lambda: None) -> None:
    """Removes all that is in a folder, from below, as far as it can be; what comes meanwhile may stay.

    `going_on` is called for each folder, and may raise. Raises OSError when the folder cannot be opened.
    """
    descriptor = _open_up(root, None)
    levels = [_Level(descriptor, _identity(os.fstat(descriptor)))]
    try:
        _unlink_files(levels[-1])
        while levels:
            if levels[-1].waiting:
                going_on()
                name = levels[-1].waiting.pop()
                with suppress(OSError):
                    os.close(_open_up(name, levels[-1].descriptor))
                if (level := _down(levels, name)) is not None:
                    _unlink_files(level)
                continue
            left = levels[-1].name
            _up(levels)
            if levels:
                with suppress(OSError):
                    os.rmdir(left, dir_fd=levels[-1].descriptor)
    finally:
        for level in levels:
            if level.descriptor >= 0:
                os.close(level.descriptor)


def _open_up(name: Path | str, parent: int | None) -> int:
    """A folder whose owner may write in it, also where a program took that from it."""
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            with suppress(PermissionError):
                # By the descriptor: the name may lead elsewhere by now.
                os.chmod(f"/proc/self/fd/{descriptor}", mode | stat.S_IRWXU)
    finally:
        os.close(descriptor)
    return os.open(name, _FOLDER, dir_fd=parent)


def _unlink_files(level: _Level) -> None:
    for parent, name, found in _entries(level):
        if not stat.S_ISDIR(found.st_mode):
            with suppress(OSError):
                os.unlink(name, dir_fd=parent)


def used_beneath(root: Path) -> int:
    """Bytes that the disk holds of a folder, each file once, whatever names it has; 0 where there is none."""
    total = 0
    several: set[tuple[int, int]] = set()
    try:
        # A person may have put it on another disk, and a link in its place.
        for _, _, found in walk_beneath(root.resolve()):
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                if _identity(found) in several:
                    continue
                several.add(_identity(found))
            total += found.st_blocks * 512
    except FileNotFoundError:
        return 0
    return total
