"""Package folders: which of their files count, and one digest over all of them.

The digest covers names, contents, execute bits and links. Contents are read again only where size, time or
inode changed, so looking at an unchanged package costs one listing.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING

from manifests.model.ignored import is_ignored
from manifests.model.source_text import EXECUTABLE, is_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Seconds. A file modified so recently could change again without its time changing.
_RACY = 0.05

#: Where the kernel shows what is no file of anybody's.
_KERNELS = ("/proc", "/sys")

_Key = tuple[int, int, int]


def package_files(path: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Relative path and entry of each file and link of a package, and of each empty folder, in a fixed order.

    Links are not followed; sockets, pipes and devices are left out. What vanishes meanwhile is left out too.
    Raises OSError when `path` itself cannot be listed.
    """
    waiting = [("", _entries(path))]
    while waiting:
        prefix, entries = waiting.pop()
        for entry in entries:
            relative = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                try:
                    below = _entries(entry.path)
                except FileNotFoundError:
                    continue
                if below:
                    waiting.append((f"{relative}/", below))
                else:
                    yield relative, entry
            elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield relative, entry


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(
            (entry for entry in entries if not is_ignored(entry.name)), key=lambda entry: entry.name
        )


def is_the_systems(path: str) -> bool:
    """The root of all files, or what the kernel shows: files without an end, and some that wait for ever."""
    kernels = {os.stat(each).st_dev for each in _KERNELS if os.path.isdir(each)} - {os.stat("/").st_dev}
    return os.path.samefile(path, "/") or os.stat(path).st_dev in kernels


def _never() -> None:
    """The digest is wanted to the end."""


class Digests:
    """Digests of packages, remembering what each file's content was. Safe to use from threads."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, tuple[_Key, bytes]]] = {}
        self._files: dict[str, dict[str, bytes]] = {}

    def digest(
        self,
        path: str,
        *,
        code_only: bool = False,
        executables: bool = False,
        check: Callable[[], None] = _never,
    ) -> str:
        """The digest of a package folder. Raises OSError when the folder or a file cannot be read.

        `check` is called before each file: it raises where nobody wants the digest any more.

        `code_only`: of what `is_code` says, for a folder that its program writes to; with `executables` also
        of what can be executed, where programs need no ending.
        """
        before = self._known.get(path, {})
        after: dict[str, tuple[_Key, bytes]] = {}
        files: dict[str, bytes] = {}
        total = hashlib.sha256()
        for relative, entry in package_files(path):
            check()
            if code_only and not (is_code(entry.name) or (executables and _is_executable(entry))):
                continue
            try:
                kind, content = _content(relative, entry, before, after)
            except FileNotFoundError:
                continue
            name = os.fsencode(relative)
            total.update(b"%d:%s%s%d:%s" % (len(name), name, kind, len(content), content))
            files[relative] = kind + content
        self._known[path], self._files[path] = after, files
        return total.hexdigest()[:16]

    def files(self, path: str) -> Mapping[str, bytes]:
        """What the last digest of a folder was made of: by path, the kind and a digest of the content."""
        return self._files.get(path, {})

    def forget(self, path: str) -> None:
        """Frees what is known about a package that nobody uses."""
        self._known.pop(path, None)
        self._files.pop(path, None)


def _is_executable(entry: os.DirEntry[str]) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_IXUSR)


def _content(
    relative: str,
    entry: os.DirEntry[str],
    before: dict[str, tuple[_Key, bytes]],
    after: dict[str, tuple[_Key, bytes]],
) -> tuple[bytes, bytes]:
    """What the digest takes of one entry: its kind, and its content or a digest of it."""
    if entry.is_symlink():
        return b"l", os.fsencode(os.readlink(entry.path))
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        return b"d", b""
    key = (found.st_mtime_ns, found.st_size, found.st_ino)
    remembered = before.get(relative)
    if remembered and remembered[0] == key:
        content = remembered[1]
    else:
        with open(entry.path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    if time.time() - found.st_mtime > _RACY:
        after[relative] = (key, content)
    return EXECUTABLE if found.st_mode & stat.S_IXUSR else b"f", content
