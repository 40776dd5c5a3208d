"""Files that lie in Git LFS: fetched by git-lfs, and put where their pointers are.

Its server names a URL for each file, which may be any, also of this machine: so they are fetched for the
owner's own repositories only. What came is what the pointer says, to the byte, or not there.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

import anyio.to_thread

from reconciler.gitops.git import FETCH, git
from reconciler.gitops.mirror import LARGER
from reconciler.gitops.troubles import AGAIN, GitTrouble
from runtimes.data.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.gitops.mirror import Mirror

_POINTER = re.compile(rb"^oid sha256:([0-9a-f]{64})\nsize (\d{1,15})$", re.MULTILINE)
_REASON = "LargeFilesMissing"


async def fill_large(mirror: Mirror, folder: Path, names: Sequence[bytes]) -> None:
    """`names`: the pointers below a folder. Raises GitTrouble, OSError."""
    shown = names[0].decode("utf-8", "replace")
    what = f"{mirror.url} has files in Git LFS, like {shown}"
    if mirror.source.trust != "own":
        raise GitTrouble(_REASON, f"{what}; they are fetched for repositories of trust = own only")
    left = mirror.source.limits.bytes
    try:
        for name in names:
            place = os.path.join(os.fsencode(folder), name)
            found = _POINTER.search(_read(place))
            if found is None or (left := left - int(found[2])) < 0:
                raise GitTrouble("RepositoryTooLarge", f"{what}, which are too large, or broken", hint=LARGER)
            await _fill(mirror, place, found[1].decode(), int(found[2]))
    except GitTrouble as trouble:
        if "'lfs' is not a git command" in trouble.message:
            message, hint = (
                f"{what}, and git-lfs is not on this machine",
                "install git-lfs (apt install git-lfs)",
            )
            raise GitTrouble(_REASON, message, hint=hint) from trouble
        raise
    finally:
        await anyio.to_thread.run_sync(remove_tree, mirror.path / "lfs")


async def _fill(mirror: Mirror, place: bytes, digest: str, size: int) -> None:
    mode = os.stat(place).st_mode
    pointer = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    os.unlink(place)
    into = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o777)
    hashed, written = hashlib.sha256(), 0

    def hear(chunk: bytes) -> None:
        nonlocal written
        written += len(chunk)
        if written > size:
            raise GitTrouble(_REASON, f"{mirror.url}: more came for a large file than its {size} bytes")
        hashed.update(chunk)
        while chunk:
            chunk = chunk[os.write(into, chunk) :]

    try:
        async with mirror.server:
            await git(
                "lfs", "smudge", url=mirror.url, access=mirror.access, mirror=str(mirror.path), seconds=FETCH,
                largest=mirror.source.limits.bytes, stdin=pointer, hear=hear,
            )  # fmt: skip
    finally:
        os.close(pointer)
        os.close(into)
    if hashed.hexdigest() != digest:
        raise GitTrouble(_REASON, f"{mirror.url}: a large file did not come whole", hint=AGAIN)


def _read(place: bytes) -> bytes:
    with open(place, "rb") as file:
        return file.read()
