"""Tells whether anybody has written to a tree of files since it was made, whatever he did to hide it.

A fingerprint is a digest over each file's inode and the time of its last change, which the kernel sets and
nobody can set back (st_ctime, inode(7)). Moving a tree changes that at its top only, where contents count
instead. Reading changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from runtimes.data.inventory import content

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def fingerprint(folder: Path, names: Iterable[str]) -> str:
    """Of these files and folders below a folder. Raises OSError."""
    total = hashlib.sha256()
    for name in sorted(names):
        top = (folder / name).lstat()
        what = content(folder / name) if not stat.S_ISDIR(top.st_mode) else ""
        total.update(f"{name}\0{top.st_ino} {top.st_mode} {what}\n".encode("utf-8", "surrogateescape"))
        if stat.S_ISDIR(top.st_mode):
            _add(os.fspath(folder / name), total)
    return total.hexdigest()


def _add(top: str, total: hashlib._Hash) -> None:
    waiting = [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                found = entry.stat(follow_symlinks=False)
                line = f"{entry.name}\0{found.st_ino} {found.st_ctime_ns} {found.st_mode} {found.st_size}\n"
                total.update(line.encode("utf-8", "surrogateescape"))
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(entry.path)
