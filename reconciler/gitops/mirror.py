"""What there is of one repository on this disk, and the two ways to use it: here, or with its server."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio

from reconciler.gitops.git import FETCH, git
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from reconciler.gitops.git import Access
    from reconciler.gitops.listing import Seen

#: Where the mirror keeps what was fetched: each commit by its id, see `Seen.kept_as`.
REFS = "refs/atek"
#: More packs or single objects than this are made one pack.
_PACKS, _LOOSE = 50, 2000
#: Seconds between two looks at how much has come.
_WATCH = 0.5
_QUIET = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc")


@dataclass(frozen=True, slots=True)
class Mirror:
    """`server`: held while its server is asked, for which one git at a time is enough."""

    path: Path
    source: GitSource
    access: Access
    server: anyio.Lock

    @property
    def url(self) -> str:
        return self.source.url

    @property
    def is_partial(self) -> bool:
        """Whether objects may be missing that others here refer to."""
        return next(self.path.glob("objects/pack/*.promisor"), None) is not None

    def has(self, seen: Seen) -> bool:
        """Whether it was fetched, and not forgotten."""
        return (self.path / REFS / seen.kept_as).is_file()

    async def here(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> str:
        """What git prints of what is here. Raises GitTrouble."""
        said = await git(*arguments, url=self.url, mirror=str(self.path), stdin=stdin)
        return said.decode("utf-8", "replace")

    async def fetch(self, *options: str, refs: tuple[str, ...] = (), objects: tuple[str, ...] = ()) -> None:
        """`objects` are asked for whatever else is here. Raises GitTrouble, also when too much comes."""
        line = ["fetch", *_QUIET, *options, "origin", *refs]
        if not objects:
            await self._fetch(line, subprocess.DEVNULL)
            return
        # Who says which commits he has is not given what belongs to them.
        line = ["-c", "fetch.negotiationAlgorithm=noop", *line[:1], "--stdin", *line[1:]]
        descriptor = stdin_of("".join(f"{name}\n" for name in objects))
        try:
            await self._fetch(line, descriptor)
        finally:
            os.close(descriptor)

    async def _fetch(self, line: list[str], stdin: int) -> None:
        most = self.source.limits.pack
        with_server = partial(git, url=self.url, mirror=str(self.path), access=self.access, seconds=FETCH)
        failure: GitTrouble | None = self._too_large(most)
        try:
            async with self.server, anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, most + _size(self.path), tasks.cancel_scope)
                try:
                    await with_server(*line, largest=most, stdin=stdin)
                    failure = None
                except GitTrouble as trouble:
                    # Git does not say of what its helper died, which had as much as it may write.
                    failure = self._too_large(most) if _largest_left(self.path) >= most else trouble
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            # Nobody waits for it any more; git has ended, and its locks are nobody's.
            sweep(self.path)
            raise
        if failure is None:
            return
        sweep(self.path)
        if failure.reason == "RepositoryTooLarge":
            await self.here("prune", "--expire=now")
        raise failure

    def _too_large(self, most: int) -> GitTrouble:
        return GitTrouble("RepositoryTooLarge", f"{self.url}: more than {most} bytes came", hint=LARGER)

    async def _watch(self, most: int, work: anyio.CancelScope) -> None:
        """Ends the work when there is more than that: plain web servers send many small files."""
        while True:
            if _size(self.path) > most:
                work.cancel()
            await anyio.sleep(_WATCH)


#: What a person can do about too much.
LARGER = "see limits in [[sources.git]], and path, which bounds what is fetched"


def stdin_of(data: str | bytes) -> int:
    """A descriptor to read it from; nothing of it is on a disk."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data.encode() if isinstance(data, str) else data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


async def tidy(mirror: Mirror) -> None:
    """Removes the objects that nobody refers to any more, once there are many. Raises GitTrouble."""
    packs = sum(1 for _ in mirror.path.glob("objects/pack/*.pack"))
    loose = sum(1 for _ in mirror.path.glob("objects/[0-9a-f][0-9a-f]/*"))
    if packs > _PACKS or loose > _LOOSE:
        await mirror.here("repack", "-a", "-d", "-q")
        await mirror.here("prune", "--expire=now")


def sweep(mirror: Path) -> None:
    """Removes the locks and half packs that a git which was killed has left; none may run meanwhile."""
    for path in (*mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock"), *_half(mirror)):
        with suppress(FileNotFoundError, IsADirectoryError):
            path.unlink()


def _half(mirror: Path) -> list[Path]:
    return [path for name in ("tmp_*", "*.temp") for path in mirror.glob(f"objects/**/{name}")]


def _largest_left(mirror: Path) -> int:
    return max((path.stat().st_size for path in _half(mirror)), default=0)


def _size(mirror: Path) -> int:
    total = 0
    for above, _, names in os.walk(mirror / "objects"):
        for name in names:
            try:
                total += os.lstat(os.path.join(above, name)).st_size
            except FileNotFoundError:
                continue
    return total
