"""A repository that sources name: asked what it has, mirrored as far as it is needed, laid out as files.

    state/git/<mirror>.git/            a bare repository: the commits that were fetched, under refs/atek/
    state/git/<mirror>/<commit>-<path>/   a folder of a commit as files; existence means whole
    state/git/<mirror>/<…>.boot        the boot of the machine in which it was made

Both are caches. What is half made has another name, and is swept; what a power cut may have taken is made
again. A server is asked one thing at a time, by one git, however many sources it has.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from reconciler.gitops import credentials
from reconciler.gitops.fetching import fetch
from reconciler.gitops.history import Lineage, lineage
from reconciler.gitops.listing import Listing, Seen, read_listing
from reconciler.gitops.looking import list_refs
from reconciler.gitops.mirror import Mirror, sweep
from reconciler.gitops.objects import Commit, objects
from reconciler.gitops.tree import seal, walk, write
from reconciler.gitops.troubles import GitTrouble
from reconciler.gitops.verify import KEYS, verified
from runtimes.data.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from manifests.model.git_source import GitSource, Limits, Ref, Verify
    from reconciler.gitops.git import Access

_UNFINISHED = ".new-"
_BOOT = ".boot"


class Repositories:
    """All that the sources of one node name, kept in `folder`; `home`: where files of a source start from."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._home = home
        self._folder = folder
        self._servers: dict[str, anyio.Lock] = {}
        self._open: dict[str, Repository] = {}

    def open(self, source: GitSource) -> Repository:
        """The repository of a source: one for all that see the same of it."""
        found = self._open.get(source.mirror)
        if found is None or found.source.limits != source.limits:
            server = self._servers.setdefault(source.host, anyio.Lock())
            memory = found._memory if found is not None else _Memory()
            found = Repository(source, self._home, self._folder, server, memory)
            self._open[source.mirror] = found
        return found

    def sweep(self, wanted: Collection[GitSource]) -> None:
        """Removes the mirrors that no source names any more. For threads."""
        names = {source.mirror for source in wanted}
        for path in list(self._folder.iterdir()) if self._folder.is_dir() else ():
            # What was half made is swept, keys of signers stay: who verifies them may be on his way.
            if not path.is_dir() or path.name.startswith(KEYS):
                continue
            if path.name.removesuffix(".git") not in names:
                self._open.pop(path.name.removesuffix(".git"), None)
                remove_tree(path)


@dataclass(slots=True)
class _Memory:
    """What is known of a repository in this life."""

    listing: Listing | None = None
    #: The clock when it was asked for.
    asked: float = float("-inf")
    place: str = ""
    swept: bool = False
    busy: anyio.Lock = field(default_factory=anyio.Lock)


class Repository:
    """One of them. All methods raise GitTrouble."""

    def __init__(
        self,
        source: GitSource,
        home: Path,
        folder: Path,
        server: anyio.Lock,
        memory: _Memory,
    ) -> None:
        self.source = source
        self.mirror = folder / f"{source.mirror}.git"
        self._trees = folder / source.mirror
        self._home = home
        self._folder = folder
        self._server = server
        self._memory = memory

    @property
    def url(self) -> str:
        return self.source.url

    @property
    def place(self) -> str:
        """Where it is, as its server said last; another URL than the source's where it has moved."""
        return self._memory.place or self.source.url

    async def look(self, ref: Ref, *, max_age: float = 0.0) -> Seen:
        """The commit that a ref is now: one ls-remote, for all who ask meanwhile.

        An answer that is at most `max_age` seconds old is good enough. Raises also RefMissing,
        EmptyRepository.
        """
        memory, since = self._memory, anyio.current_time() - max_age
        if memory.listing is None or memory.asked < since:
            async with self._server:
                if memory.listing is None or memory.asked < since:
                    asked = anyio.current_time()
                    memory.listing, memory.asked = await self._list(memory.listing), asked
        return memory.listing.resolve(ref)

    async def fetch(self, seen: Seen, path: str = "") -> Commit:
        """Gets what a folder of the commit needs. What is here already costs no way to the server."""
        async with self._memory.busy:
            self._sweep()
            return await fetch(self._mirror(), seen, path)

    async def verified(self, seen: Seen, since: str | None, verify: Verify) -> str:
        """By whom a fetched commit was signed, in words; `since`: the one that was applied last.

        Raises also NotVerified, with what was found instead.
        """
        async with self._memory.busy:
            self._sweep()
            with _explained(self.url):
                return await verified(self._mirror(), seen, since, verify, self._home)

    async def lineage(self, seen: Seen, since: str) -> Lineage:
        """What came since the commit that was applied last, and whether that was pushed away."""
        async with self._memory.busy:
            self._sweep()
            return await lineage(self._mirror(), seen, since)

    async def checkout(self, commit: str, path: str = "") -> Path:
        """The folder `path` of a fetched commit, as files that nobody writes: whole, or not there.

        Raises also PathMissing, RepositoryTooLarge, ForbiddenName, LinkLeavesTree, ObjectsMissing.
        """
        async with self._memory.busy:
            self._sweep()
            place = self._trees / f"{commit}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
            with _explained(self.url):
                await anyio.to_thread.run_sync(
                    partial(_lay_out, self.mirror, commit, path, place, self.source.limits)
                )
            return place / path

    async def forget(self, keep: Collection[str]) -> None:
        """Removes the files of all other commits, and their names in the mirror."""
        async with self._memory.busy:
            with _explained(self.url):
                await anyio.to_thread.run_sync(self._forget, frozenset(keep))

    def commits_of(self, paths: Iterable[str]) -> set[str]:
        """The commits that these folders are of, as far as they are of this repository."""
        trees = f"{self._trees}{os.sep}"
        inside = (path.removeprefix(trees) for path in paths if path.startswith(trees))
        return {path.partition(os.sep)[0].partition("-")[0] for path in inside}

    # -- inside

    async def _list(self, before: Listing | None) -> Listing:
        text, self._memory.place = await list_refs(self.source, self._access(), self._home, self.place)
        return before if before is not None and before.text == text else read_listing(text)

    def _mirror(self) -> Mirror:
        access = credentials.with_place(self._access(), self.source, self.place)
        return Mirror(self.mirror, self.source, access, self._server)

    def _access(self) -> Access:
        with _explained(self.url):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return credentials.access(self.source, self._home, self._folder)

    def _sweep(self) -> None:
        """What a life that was killed has left: nobody else works here."""
        if self._memory.swept:
            return
        with _explained(self.url):
            sweep(self.mirror)
            for path in self._trees.glob(f"{_UNFINISHED}*"):
                remove_tree(path)
        self._memory.swept = True

    def _forget(self, keep: frozenset[str]) -> None:
        for path in list(self._trees.iterdir()) if self._trees.is_dir() else ():
            if path.is_dir() and path.name.partition("-")[0] not in keep:
                _remove(path)
        for path in (self.mirror / "refs" / "atek").glob("*"):
            if path.name.partition("-")[0] not in keep:
                path.unlink()


class _explained:
    """Errors of the disk, as troubles."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, OSError):
            raise disk_trouble(error, self._url) from error


def disk_trouble(error: OSError, url: str) -> GitTrouble:
    """What a person is told of a full or broken disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GitTrouble(
            "DiskFull", f"{url}: there is no space left on the disk", hint="free some; it will be tried again"
        )
    return GitTrouble("DiskFailed", f"{url}: {error.filename or 'the disk'}: {error.strerror or error}")


def _lay_out(mirror: Path, commit: str, path: str, place: Path, limits: Limits) -> None:
    boot = _boot()
    mark = place.with_name(f"{place.name}{_BOOT}")
    if place.is_dir():
        if mark.is_file() and mark.read_text() == boot:
            return
        _remove(place)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = place.with_name(f"{_UNFINISHED}{place.name}")
    remove_tree(unfinished)
    try:
        folder = unfinished / path
        folder.mkdir(parents=True)
        with objects(mirror) as found:
            tree = walk(found, found.folder(commit, path), limits)
            write(tree, found, folder, limits)
        seal(unfinished)
        mark.write_text(boot)
        os.rename(unfinished, place)
    finally:
        remove_tree(unfinished)


def _remove(place: Path) -> None:
    """A folder that is removed halfway must not be taken for whole."""
    trash = place.with_name(f"{_UNFINISHED}{place.name}")
    remove_tree(trash)
    os.rename(place, trash)
    remove_tree(trash)
    place.with_name(f"{place.name}{_BOOT}").unlink(missing_ok=True)


def _boot() -> str:
    """What was written before the machine came up may be there in name only."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
