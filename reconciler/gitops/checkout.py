"""A folder of a commit as files: made beside its place, and there once it is whole.

A power cut may take what was written last, so that a folder counts in the boot of the machine in which it was
made; after that it is made again, of the mirror, which needs no server for it.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.gitops.objects import objects
from reconciler.gitops.tree import seal, walk, write
from reconciler.gitops.troubles import AGAIN, GitTrouble
from runtimes.data.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.git_source import Limits
    from reconciler.gitops.tree import Tree

#: How folders begin that are not whole.
UNFINISHED = ".new-"
_BOOT = ".boot"


def is_whole(place: Path) -> bool:
    """Whether it is there, and surely as it was written. What is not is removed. Raises OSError."""
    if not place.is_dir():
        return False
    mark = _mark(place)
    if mark.is_file() and mark.read_text() == _boot():
        return True
    remove(place)
    return False


def begin(place: Path, path: str) -> Path:
    """Makes room for the folder `path` of it. Raises OSError."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_tree(_unfinished(place))
    folder = _unfinished(place) / path
    folder.mkdir(parents=True)
    return folder


def lay_out(mirror: Path, commit: str, path: str, folder: Path, limits: Limits) -> tuple[Tree, list[bytes]]:
    """Puts a commit's folder into an empty one; returns what it holds, and what of it lies in Git LFS.

    Raises GitTrouble, OSError.
    """
    with objects(mirror) as found:
        tree = walk(found, found.folder(commit, path), limits)
        return tree, write(tree, found, folder, limits)


def complete(place: Path) -> None:
    """It is whole. Raises OSError."""
    unfinished = _unfinished(place)
    seal(unfinished)
    _mark(place).write_text(_boot())
    os.rename(unfinished, place)


def give_up(place: Path) -> None:
    """Removes what was begun, if it is not complete."""
    remove_tree(_unfinished(place))


def remove(place: Path) -> None:
    """A folder that is removed halfway must not be taken for whole. Raises OSError."""
    trash = _unfinished(place)
    remove_tree(trash)
    os.rename(place, trash)
    remove_tree(trash)
    _mark(place).unlink(missing_ok=True)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Errors of the disk, as troubles."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"{url}: there is no space left on the disk"
            raise GitTrouble("DiskFull", message, hint=f"free some; {AGAIN}") from error
        message = f"{url}: {error.filename or 'the disk'}: {error.strerror or error}"
        raise GitTrouble("DiskFailed", message) from error


def _unfinished(place: Path) -> Path:
    return place.with_name(f"{UNFINISHED}{place.name}")


def _mark(place: Path) -> Path:
    return place.with_name(f"{place.name}{_BOOT}")


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
