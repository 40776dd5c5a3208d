"""Compose files in the folders below a folder of manifests: an app in each, as people keep them.

A folder that has one belongs to it, with all that is below; so nothing below is looked at where the folder of
manifests has one itself. Nor is a package's, which has files of its own for whoever develops it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from manifests.compose import NAMES
from manifests.model.ignored import is_ignored
from manifests.packages.resolve import DOCKERFILE, PROGRAM_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Levels of folders, and folders in all, that are looked into.
_DEEPEST, _MOST = 3, 1000
PACKAGE_FILES = frozenset({*PROGRAM_FILES, DOCKERFILE, "atek.json"})
#: Of several in a folder Compose takes the first of these.
_IN_ORDER = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


class Below(NamedTuple):
    """Paths of Compose files, and of folders that have one or may get one, from the folder on."""

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def find_below(folder: str) -> Below:
    """Raises nothing: what cannot be looked into has nothing for the node."""
    files: list[str] = []
    folders: list[str] = []
    waiting = [("", 0)]
    for path, depth in waiting:
        names, inner = _look(os.path.join(folder, path))
        composed = NAMES & names
        if path:
            if names & PACKAGE_FILES:
                continue
            folders.append(path)
            files += [os.path.join(path, name) for name in _IN_ORDER if name in composed][:1]
        if not composed and depth < _DEEPEST and len(waiting) < _MOST:
            waiting += [(os.path.join(path, name), depth + 1) for name in sorted(inner)]
    return Below(tuple(files), tuple(folders))


def is_below(name: str) -> bool:
    """Whether a path, from the folder on, is one of a Compose file in a folder below."""
    folder, file = os.path.split(name)
    return bool(folder) and file in NAMES


def _look(folder: str) -> tuple[set[str], set[str]]:
    """The names of files, and of folders that people have made."""
    names: set[str] = set()
    inner: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    inner |= set(_of_people(entry.name))
                else:
                    names.add(entry.name)
    except OSError:
        return set(), set()
    return names, inner


def _of_people(name: str) -> Iterator[str]:
    if not name.startswith((".", "#", "~")) and not is_ignored(name):
        yield name
