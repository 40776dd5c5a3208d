"""What a folder of a commit holds, known whole before any of it is written, and then written.

Git's own checkout is not used: it would run filters, follow attributes and make whatever a tree says. Here a
tree is walked first, within bounds, and what no folder should have is refused by its name.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.git_source import Limits
    from reconciler.gitops.objects import Entry, Objects

#: Folders one in another, and bytes of a path; Linux itself has 255 for a name.
_DEEPEST, _LONGEST_PATH, _LONGEST_NAME = 100, 2048, 255
_FOLDER, _LINK, _SUBMODULE = 0o040000, 0o120000, 0o160000
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
#: Bytes. No pointer to a large file is larger.
_POINTER = 1024


@dataclass(slots=True)
class Tree:
    """Paths are relative and bytes, as git has them; each folder stands before what is in it."""

    folders: list[bytes] = field(default_factory=list)
    #: Path → object, and whether it may be executed.
    files: list[tuple[bytes, str, bool]] = field(default_factory=list)
    links: list[tuple[bytes, str]] = field(default_factory=list)
    submodules: list[tuple[bytes, str]] = field(default_factory=list)


def walk(objects: Objects, root: str, limits: Limits) -> Tree:
    """All that is below a tree. Raises GitTrouble."""
    found = Tree()
    level: list[tuple[bytes, str]] = [(b"", root)]
    count = 0
    for _ in range(_DEEPEST):
        below: list[tuple[bytes, str]] = []
        for (above, _), entries in zip(level, objects.trees([name for _, name in level]), strict=True):
            count += len(entries)
            if count > limits.files:
                raise too_large(f"it has more than {limits.files} files and folders")
            if len({entry.name for entry in entries}) != len(entries):
                raise GitTrouble("BrokenTree", f"the folder {_shown(above)} has one name twice")
            for entry in entries:
                _put(found, below, _checked(above, entry.name), entry)
        if not below:
            return found
        level = below
    raise too_large(f"its folders are more than {_DEEPEST} deep")


def write(tree: Tree, objects: Objects, folder: Path, limits: Limits) -> list[bytes]:
    """Into a folder that is there and empty; returns the files that lie in Git LFS.

    Raises GitTrouble, OSError.     Links are made last, so that nothing is written through one.
    """
    at = os.fsencode(folder)
    for path in (*tree.folders, *(path for path, _ in tree.submodules)):
        os.mkdir(os.path.join(at, path))
    left, large = limits.bytes, []
    for (path, _, executable), (size, chunks) in zip(
        tree.files, objects.blobs([name for _, name, _ in tree.files]), strict=True
    ):
        left -= size
        if left < 0:
            raise too_large(f"its files are larger than {limits.bytes} bytes")
        first = b""
        descriptor = os.open(
            os.path.join(at, path),
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
            0o555 if executable else 0o444,
        )
        with open(descriptor, "wb", buffering=0) as file:
            for chunk in chunks():
                first = first or chunk
                _write_all(file.fileno(), chunk)
        if size <= _POINTER and first.startswith(_LFS):
            large.append(path)
    for (path, _), (size, chunks) in zip(
        tree.links, objects.blobs([name for _, name in tree.links]), strict=True
    ):
        if size >= _LONGEST_PATH:
            raise GitTrouble("LinkLeavesTree", f"the link {_shown(path)} leads to a path that is too long")
        _link(at, path, b"".join(chunks()))
    _check_links(tree, at)
    return large


def seal(folder: Path) -> None:
    """Nobody writes into it any more by mistake."""
    for above, _, _ in os.walk(folder, topdown=False):
        os.chmod(above, 0o555)


def too_large(why: str) -> GitTrouble:
    return GitTrouble(
        "RepositoryTooLarge",
        why,
        hint="see limits in [[sources.git]], and path, which bounds what is fetched",
    )


def _put(found: Tree, below: list[tuple[bytes, str]], path: bytes, entry: Entry) -> None:
    kind = entry.mode & 0o170000
    if kind == _FOLDER:
        found.folders.append(path)
        below.append((path, entry.object))
    elif kind == _LINK:
        found.links.append((path, entry.object))
    elif kind == _SUBMODULE:
        found.submodules.append((path, entry.object))
    elif stat.S_ISREG(entry.mode):
        found.files.append((path, entry.object, bool(entry.mode & 0o111)))
    else:
        raise GitTrouble("BrokenTree", f"{_shown(path)} is neither a file nor a folder")


def _checked(above: bytes, name: bytes) -> bytes:
    path = os.path.join(above, name)
    if name in (b"", b".", b"..") or b"/" in name or any(byte < 0x20 or byte == 0x7F for byte in name):
        raise GitTrouble("ForbiddenName", f"{_shown(above)} has something with the name {_shown(name)}")
    # What file systems of other kinds take for .git is nobody's name either.
    if name.lower().rstrip(b". ") in (b".git", b"git~1"):
        raise GitTrouble("ForbiddenName", f"{_shown(above)} has something with the name {_shown(name)}")
    if len(name) > _LONGEST_NAME or len(path) > _LONGEST_PATH:
        raise GitTrouble("ForbiddenName", f"{_shown(path[:80])}… is longer than a name or a path may be")
    return path


def _link(at: bytes, path: bytes, target: bytes) -> None:
    if not target or b"\0" in target:
        raise GitTrouble("LinkLeavesTree", f"the link {_shown(path)} leads nowhere")
    os.symlink(target, os.path.join(at, path))


def _check_links(tree: Tree, at: bytes) -> None:
    """Wherever a link leads in the end, also through others, is inside."""
    root = os.path.realpath(at)
    for path, _ in tree.links:
        place = os.path.join(at, path)
        target = os.readlink(place)
        real = os.path.realpath(place)
        if target.startswith(b"/") or not (real == root or real.startswith(root + b"/")):
            message = f"the link {_shown(path)} leads to {_shown(target)}, out of the folder"
            raise GitTrouble(
                "LinkLeavesTree", message, hint="see path in [[sources.git]]: only what is below it is here"
            )


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "replace")) if path else "the folder"
