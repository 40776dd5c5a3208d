"""Which files of a folder are manifests, how to see that one changed, and how to read it.

Everything that editors, file managers and synchronisers leave lying about is ignored: hidden files, backups,
swap and temporary files. Links are followed.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from manifests.documents.document import BrokenText
from manifests.documents.text import MAX_BYTES, SUFFIXES
from manifests.model.ignored import is_ignored
from manifests.sources.below import find_below
from manifests.sources.trust import judge


class Signature(NamedTuple):
    """A file with the same signature has the same content. `linked`: the name is a symbolic link."""

    modified_ns: int
    size: int
    inode: int
    linked: bool


#: There is such a name, but nothing can be known about it (a link that leads nowhere, no permission).
UNREADABLE = Signature(-1, -1, -1, linked=True)


class Listing(NamedTuple):
    """What a folder holds: signatures by name, and the device it lies on. `below`: folders of apps in it."""

    files: dict[str, Signature]
    device: int
    below: tuple[str, ...] | None = None


def is_manifest(name: str) -> bool:
    """Whether a name is one that a person gives to a manifest."""
    if name[:1] in {".", "#", "~"} or is_ignored(name):
        return False
    return os.path.splitext(name)[1].lower() in SUFFIXES


def list_folder(folder: str) -> Listing:
    """All manifests of a folder, and Compose files below it. Raises OSError when it cannot be listed."""
    files: dict[str, Signature] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_manifest(entry.name) and (found := sign(entry.path)) is not None:
                files[entry.name] = found
    below = find_below(folder)
    for name in below.files:
        if (found := sign(os.path.join(folder, name))) is not None:
            files[name] = found
    return Listing(files, os.stat(folder).st_dev, below.folders)


def sign(path: str) -> Signature | None:
    """A file's signature; None when there is no such file (or it is a folder, a pipe, a socket)."""
    try:
        found = os.lstat(path)
        linked = stat.S_ISLNK(found.st_mode)
        if linked:
            found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return UNREADABLE if os.path.islink(path) else None
    except OSError:
        return UNREADABLE
    if not stat.S_ISREG(found.st_mode):
        return None
    return Signature(found.st_mtime_ns, found.st_size, found.st_ino, linked)


def read_text(path: str) -> tuple[str, Signature]:
    """A file's text, with the signature it had. Raises FileNotFoundError, BrokenText.

    Never waits: a pipe that has taken the file's name is refused.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if os.path.islink(path):
            raise BrokenText(
                "it is a link to a file that does not exist", hint="mend or delete the link"
            ) from None
        raise
    except OSError as error:
        raise _unreadable(error) from error
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(path)
        if (why := judge(path, found)) is not None:
            raise BrokenText(why.message, hint=why.hint)
        if found.st_size > MAX_BYTES:
            raise BrokenText("the file is larger than 1 MiB", hint="split it into several files")
        try:
            data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _unreadable(error) from error
    signature = Signature(found.st_mtime_ns, len(data), found.st_ino, os.path.islink(path))
    try:
        return data.decode("utf-8-sig"), signature
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BrokenText("the text is not UTF-8", line=line, hint="save it as UTF-8") from error


def _unreadable(error: OSError) -> BrokenText:
    return BrokenText(
        f"it cannot be read: {error.strerror}", hint="the node's user needs permission to read it"
    )
