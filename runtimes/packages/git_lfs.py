"""Files of a repository that lie in Git LFS: what a checkout has in their place."""

from __future__ import annotations

import os

_BEGIN = b"version https://git-lfs.github.com/spec/v1\n"
#: Bytes. No pointer is larger.
_LARGEST = 1024


def pointers(folder: str) -> list[str]:
    """The relative paths of all pointers that stand for a file. Raises OSError."""
    return sorted(os.path.relpath(path, folder) for path in _files(folder) if _is_pointer(path))


def _files(folder: str) -> list[str]:
    found = []
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        found += [os.path.join(above, name) for name in names]
    return found


def _is_pointer(path: str) -> bool:
    if os.path.islink(path) or not len(_BEGIN) < os.stat(path).st_size <= _LARGEST:
        return False
    with open(path, "rb") as file:
        return file.read(len(_BEGIN)) == _BEGIN
