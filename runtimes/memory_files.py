"""Files in memory: the secrets that instances are given as files.

A folder of this user's on a tmpfs, one folder below it for each instance, removed when the instance has
ended; whoever is killed in between leaves it to the next life, which removes what is of no instance. Nothing
of it reaches a disk, but for what the machine swaps out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runtimes.base import RuntimeFailure
from runtimes.paths import PRIVATE, make_private

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from runtimes.base import SecretFile
    from runtimes.paths import Way

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class MemoryFiles:
    """Those of one home and one kind of runtimes."""

    def __init__(self, home: Path, kind: str, above: Way = PRIVATE, way: Way = PRIVATE) -> None:
        """`above`, `way`: who may pass the folder of the home's, and the one of this kind in it."""
        self._above, self._way = above, way
        self._home = home
        self._kind = kind

    def write(
        self, instance: str, files: Sequence[SecretFile], mode: int, owner: tuple[int, int] | None = None
    ) -> Mapping[str, str]:
        """Where each of them is, by its name. Raises RuntimeFailure.

        `mode` and `owner` (user and group) are for those that say none.
        """
        if not files:
            return {}
        root = self._root
        if root is None:
            raise RuntimeFailure(
                "NoMemoryFiles",
                "this machine has no folder in memory for secrets",
                hint="mount a tmpfs at /dev/shm, or deliver them as variables",
            )
        make_private(root.parent, self._above)
        make_private(root, self._way)
        folder = root / instance
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            if owner is not None:
                os.chown(folder, *owner)
            return {each.name: _write(folder / each.name, _owned(each, owner), mode) for each in files}
        except OSError as error:
            self.remove(instance)
            message = f"a secret cannot be kept in memory: {error.strerror or error}: {error.filename}"
            raise RuntimeFailure("SecretsNotDelivered", message) from error

    def paths(self, instance: str, files: Sequence[SecretFile]) -> Mapping[str, str]:
        """Where `write` has put them."""
        return {each.name: os.fspath(self._root / instance / each.name) for each in files if self._root}

    def remove(self, instance: str) -> None:
        """What an instance that has ended was given."""
        if instance and self._root is not None:
            shutil.rmtree(self._root / instance, ignore_errors=True)
            self._leave()

    def prune(self, keep: Collection[str]) -> None:
        """Removes what is of none of these instances."""
        if self._root is not None and self._root.is_dir():
            for folder in self._root.iterdir():
                if folder.name not in keep:
                    shutil.rmtree(folder, ignore_errors=True)
            self._leave()

    def _leave(self) -> None:
        """Nothing stays of a home that has nothing in memory."""
        if self._root is not None:
            with suppress(OSError):
                self._root.rmdir()
                self._root.parent.rmdir()

    @cached_property
    def _root(self) -> Path | None:
        name = hashlib.sha256(os.fsencode(self._home.resolve())).hexdigest()[:10]
        memory = memory_folder()
        return memory and memory / f"atek-{os.geteuid()}-{name}-secrets" / self._kind


def _owned(file: SecretFile, owner: tuple[int, int] | None) -> SecretFile:
    if owner is None or (file.uid, file.gid) != (None, None):
        return file
    return replace(file, uid=owner[0], gid=owner[1])


def _write(path: Path, file: SecretFile, mode: int) -> str:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as opened:
        opened.write(file.data)
        if (file.uid, file.gid) != (None, None) and os.geteuid() == 0:
            os.fchown(descriptor, -1 if file.uid is None else file.uid, -1 if file.gid is None else file.gid)
        os.fchmod(descriptor, mode if file.mode is None else file.mode)
    return os.fspath(path)


def memory_folder() -> Path | None:
    """A folder in memory that this user may write to."""
    candidates = ["/run"] if os.geteuid() == 0 else [f"/run/user/{os.geteuid()}"]
    kinds = _kinds_of_mounts()
    for path in (*candidates, "/dev/shm"):
        if os.path.isdir(path) and os.access(path, os.W_OK) and _kind_of(path, kinds) in _IN_MEMORY:
            return Path(path)
    return None


def _kinds_of_mounts() -> dict[str, str]:
    """The kind of the file system at each place where one is mounted, the last one that was."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            found[before.split()[4]] = after.split(" ", 1)[0]
    return found


def _kind_of(path: str, kinds: Mapping[str, str]) -> str:
    path = os.path.realpath(path)
    while path not in kinds and path != "/":
        path = os.path.dirname(path)
    return kinds.get(path, "")
