"""Makes a folder, and all that is in it, a service's own.

It is walked by descriptors (runtimes.data.beneath), and of each entry that very inode is given away that
was looked at: no link is followed, whatever a program makes of it meanwhile. Given away is what the node
itself has, or what was another user's of the same service. What belongs to anybody else stays theirs; so
does a file that has names outside of the folder, because it would be given away there, too.

The folder itself comes last: as long as it is not the service's, all of it is done again, so that a crash
in the middle costs nothing.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.model.base import printable
from runtimes.data.beneath import walk_beneath

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_AT_EMPTY_PATH = 0x1000
_NAMED = 5
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Left:
    """What was not given away: how many entries, and the names of some of them."""

    count: int = 0
    names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.count > 0

    def __add__(self, other: Left) -> Left:
        return Left(self.count + other.count, (*self.names, *other.names)[:_NAMED])

    def __str__(self) -> str:
        return (
            f"{self.count} of its files stay somebody else's, or have names elsewhere: "
            f"{', '.join(map(printable, self.names))}"
        )


def is_handed_over(folder: Path, uid: int) -> bool:
    """Whether all of it was given away once. Raises OSError."""
    return folder.lstat().st_uid == uid


def hand_over(folder: Path, uid: int, gid: int, of: Collection[int]) -> Left:
    """Gives away what belongs to the users `of`. Raises OSError; also when the folder is a link."""
    given = {*of, uid}
    names = Counter[tuple[int, int]]()
    for _, _, found in walk_beneath(folder):
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            names[found.st_dev, found.st_ino] += 1
    left: list[str] = []
    for parent, name, found in walk_beneath(folder):
        if (found.st_uid, found.st_gid) == (uid, gid):
            continue
        if found.st_uid not in given or not _give(parent, name, uid, gid, given, names):
            left.append(name)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o700)
        os.fchown(descriptor, uid, gid)
    finally:
        os.close(descriptor)
    return Left(len(left), tuple(left[:_NAMED]))


def _give(
    parent: int, name: str, uid: int, gid: int, given: Collection[int], names: Counter[tuple[int, int]]
) -> bool:
    """Whether this very entry is the service's now. One that is gone needs nothing."""
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return True
    try:
        found = os.fstat(descriptor)
        kind = stat.S_IFMT(found.st_mode)
        outside = kind != stat.S_IFDIR and found.st_nlink > names.get((found.st_dev, found.st_ino), 1)
        if outside or found.st_uid not in given or kind in (stat.S_IFBLK, stat.S_IFCHR):
            return False
        return bool(_libc.fchownat(descriptor, b"", uid, gid, _AT_EMPTY_PATH) == 0)
    finally:
        os.close(descriptor)


def own_folder(folder: Path, uid: int, gid: int) -> None:
    """An empty folder of its own, which nobody else may look into. Raises OSError."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)
