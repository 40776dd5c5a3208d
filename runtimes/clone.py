"""Copies of installed folders that cost next to nothing, for those that are too large for real ones.

Most files are hard links of what was installed once: whoever replaces one (installers, compilers, editors
do) gets a file of his own. What programs write into in place, data by its ending, is copied. Should somebody
have written into a linked file all the same, the signature of what was installed tells, and the next revision
has it installed anew.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Endings of files that programs change where they are: databases, caches, settings.
_DATA = (
    ".db", ".db3", ".sqlite", ".sqlite3", ".mdb", ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf",
    ".csv", ".dat", ".bin", ".pickle", ".pkl", ".cache", ".log", ".lock", ".idx",
)  # fmt: skip


def clone(source: Path, target: Path) -> str:
    """Makes `target`, which does not exist, another folder with the same in it. Raises OSError.

    Returns the signature of what was cloned.
    """
    target.mkdir(mode=stat.S_IMODE(source.stat().st_mode), parents=True)
    total = hashlib.sha256()
    for relative, entry in _entries(os.fspath(source), ""):
        total.update(_sign(relative, entry))
        place = os.path.join(target, relative)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_dir():
            os.mkdir(place)
            os.chmod(place, stat.S_IMODE(entry.stat().st_mode))
        elif _is_data(entry.name) or not _link(entry.path, place):
            shutil.copy2(entry.path, place)
    return total.hexdigest()


def signature(folder: Path) -> str:
    """Another one when anything in it was written, added or removed. Raises OSError."""
    total = hashlib.sha256()
    for relative, entry in _entries(os.fspath(folder), ""):
        total.update(_sign(relative, entry))
    return total.hexdigest()


def _sign(relative: str, entry: os.DirEntry[str]) -> bytes:
    found = entry.stat(follow_symlinks=False)
    about = (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else ()
    return f"{relative}\0{found.st_mode}\0{about}\n".encode("utf-8", "surrogateescape")


def _entries(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Each entry before what is in it."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        yield prefix + entry.name, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path, f"{prefix}{entry.name}/")


def _is_data(name: str) -> bool:
    return name.lower().endswith(_DATA)


def _link(source: str, place: str) -> bool:
    """Whether it could be linked: file systems have no links, or no more of them for one file."""
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP):
            return False
        raise
    return True
