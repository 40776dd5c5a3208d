"""A repository that sources name: asked what it has, mirrored as far as it is needed, laid out as files.

    state/git/<mirror>.git/            a bare repository: the commits that were fetched, under refs/atek/
    state/git/<mirror>/<commit>-<path>/   a folder of a commit as files; existence means whole
    state/git/<mirror>/<digest>-copy/  what a container mounts of it, see `copies`
    state/git/<mirror>/<…>.boot        the boot of the machine in which it was made

Both are caches. What is half made has another name, and is swept; what a power cut may have taken is made
again. A server is asked one thing at a time, by one git, however many sources it has.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.model.git_source import Ref
from reconciler.gitops import credentials
from reconciler.gitops.checkout import (
    UNFINISHED,
    begin,
    complete,
    explained,
    give_up,
    is_whole,
    lay_out,
    remove,
)
from reconciler.gitops.committing import write
from reconciler.gitops.copies import make
from reconciler.gitops.fetching import fetch, fetch_named
from reconciler.gitops.history import Lineage, lineage
from reconciler.gitops.large import fill_large
from reconciler.gitops.listing import BRANCH, Listing, Seen, read_listing
from reconciler.gitops.looking import list_refs
from reconciler.gitops.mirror import Mirror, sweep, tidy
from reconciler.gitops.submodules import DEEPEST, MOST, source_of, urls_of
from reconciler.gitops.troubles import PASSING, GitTrouble
from reconciler.gitops.verify import KEYS, verified
from reconciler.state.compose_ids import kept_ids
from runtimes.data.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from manifests.compose.ids import KeptIds
    from manifests.model.git_source import GitSource, Verify
    from reconciler.gitops.committing import Said
    from reconciler.gitops.copies import Copy
    from reconciler.gitops.git import Access
    from reconciler.gitops.objects import Commit


class Repositories:
    """All that the sources of one node name, kept in `folder`; `home`: where files of a source start from."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self._servers: dict[str, anyio.Lock] = {}
        self._memories: dict[str, _Memory] = {}

    def open(self, source: GitSource) -> Repository:
        """The repository of a source. All that see the same of it share its mirror, and what is new."""
        memory = self._memories.setdefault(source.mirror, _Memory())
        memory.kept.setdefault(source.name, None)
        return Repository(source, self, self._servers.setdefault(source.host, anyio.Lock()), memory)

    def sweep(self, wanted: Collection[GitSource]) -> None:
        """Removes the mirrors that no source names any more. For threads."""
        names = {source.mirror for source in wanted}
        for path in list(self.folder.iterdir()) if self.folder.is_dir() else ():
            # What was half made is swept, keys of signers stay: who verifies them may be on his way.
            if not path.is_dir() or path.name.startswith(KEYS):
                continue
            if path.name.removesuffix(".git") not in names:
                self._memories.pop(path.name.removesuffix(".git"), None)
                remove_tree(path)


@dataclass(slots=True)
class _Memory:
    """What is known of a repository in this life."""

    #: What was answered, or went wrong, when it was asked last, and the clock then.
    answer: Listing | GitTrouble | None = None
    asked: float = float("-inf")
    place: str = ""
    swept: bool = False
    #: What each source wants to keep of it; None: it has not said yet.
    kept: dict[str, frozenset[str] | None] = field(default_factory=dict)
    #: Held by who works with the mirror, and by who makes a folder of files.
    busy: anyio.Lock = field(default_factory=anyio.Lock)
    making: anyio.Lock = field(default_factory=anyio.Lock)


class Repository:
    """One of them. All methods raise GitTrouble."""

    def __init__(
        self, source: GitSource, repositories: Repositories, server: anyio.Lock, memory: _Memory
    ) -> None:
        self.source = source
        self.mirror = repositories.folder / f"{source.mirror}.git"
        #: Where folders of commits are, and copies of what is in them.
        self.trees = repositories.folder / source.mirror
        self._repositories = repositories
        self._server = server
        self._memory = memory

    @property
    def url(self) -> str:
        return self.source.url

    @property
    def ids(self) -> KeptIds:
        """Those that services of Compose files keep. Read from the disk."""
        return kept_ids(self._repositories.home)

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
        if memory.asked < since:
            async with self._server:
                if memory.asked < since:
                    await self._ask()
        return self._answered(ref)

    async def look_beside(self, ref: Ref) -> Seen:
        """The same, of a server that may just be sending something, which is not waited for."""
        await self._ask()
        return self._answered(ref)

    async def look_at(self, name: str) -> Seen:
        """What one ref is by its full name, whatever its kind. Raises also RefMissing."""
        async with self._server:
            place, home = self.place, self._repositories.home
            text, self._memory.place = await list_refs(self.source, self._access(), home, place, (name,))
        refs = read_listing(text).refs
        if name not in refs:
            raise GitTrouble("RefMissing", f"{self.url} has no {name}")
        return Seen(refs.get(f"{name}^{{}}", refs[name]), name, refs[name])

    async def fetch_now(self, ref: Ref, path: str = "") -> Seen | None:
        """What a branch is now, and fetched: one git for what `look` and `fetch` need two for.

        None where that is to be asked step by step: for other refs, before the first commit, and of servers
        that cannot give one commit alone. Raises what passes by itself.
        """
        answer = self._memory.answer
        head = answer.head if isinstance(answer, Listing) and ref == Ref() else ""
        name = f"{BRANCH}{ref.branch}" if ref.branch else head
        if not name:
            return None
        async with self._memory.busy:
            self._sweep()
            try:
                commit = await fetch_named(self._mirror(), name, path)
            except GitTrouble as trouble:
                if trouble.reason in PASSING:
                    raise
                return None
            return Seen(commit, name, commit) if commit else None

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
            with explained(self.url):
                return await verified(self._mirror(), seen, since, verify, self._repositories.home)

    async def lineage(self, seen: Seen, since: str) -> Lineage:
        """What came since the commit that was applied last, and whether that was pushed away."""
        async with self._memory.busy:
            self._sweep()
            return await lineage(self._mirror(), seen, since)

    async def checkout(self, commit: str, path: str = "") -> Path:
        """The folder `path` of a fetched commit, as files that nobody writes: whole, or not there.

        Raises also PathMissing, RepositoryTooLarge, ForbiddenName, LinkLeavesTree, ObjectsMissing.
        """
        await self._swept()
        async with self._memory.making:
            place = self._place(commit, path)
            with explained(self.url):
                if not await anyio.to_thread.run_sync(is_whole, place):
                    await self._make(commit, path, place)
            return place / path

    async def write(self, seen: Seen, file: str, data: bytes, said: Said) -> str:
        """Pushes a commit on top of a fetched one of a branch, in which a file is another; its id.

        Raises also PushRaced, PushRefused.
        """
        async with self._memory.busy:
            self._sweep()
            return await write(self._mirror(), seen, file, data, said)

    async def copy(self, copies: Collection[Copy]) -> None:
        """Makes those that are not there yet."""
        async with self._memory.making:
            for each in copies:
                with explained(self.url):
                    await anyio.to_thread.run_sync(make, each)

    def laid_out(self, commit: str, path: str = "") -> Path:
        """Where `checkout` would have put it; nothing is looked at."""
        return self._place(commit, path) / path

    def want(self, keep: Collection[str]) -> None:
        """The commits that its source needs from now on: nobody forgets them."""
        self._memory.kept[self.source.name] = frozenset(keep)

    async def forget(self, keep: Collection[str]) -> None:
        """Removes all other commits, once each source of this repository has said what it wants to keep.

        What is kept is safe on the disk when this returns.
        """
        self.want(keep)
        with explained(self.url):
            await anyio.to_thread.run_sync(os.sync)
            async with self._memory.making, self._memory.busy:
                # Somebody may have begun to work at another one until it is this one's turn.
                said = [each for each in self._memory.kept.values() if each is not None]
                if len(said) == len(self._memory.kept):
                    await anyio.to_thread.run_sync(self._forget, frozenset().union(*said))
                    await tidy(self._mirror())

    def commits_of(self, paths: Iterable[str]) -> set[str]:
        """The commits, or copies, that these folders are of, as far as they are of this repository."""
        trees = f"{self.trees}{os.sep}"
        inside = (path.removeprefix(trees) for path in paths if path.startswith(trees))
        return {path.partition(os.sep)[0].partition("-")[0] for path in inside}

    # -- inside

    def _answered(self, ref: Ref) -> Seen:
        answer = self._memory.answer
        if not isinstance(answer, Listing):
            assert answer is not None
            raise answer.with_traceback(None)
        return answer.resolve(ref)

    async def _ask(self) -> None:
        memory, asked = self._memory, anyio.current_time()
        try:
            text, memory.place = await list_refs(
                self.source, self._access(), self._repositories.home, self.place
            )
            same = isinstance(memory.answer, Listing) and memory.answer.text == text
            memory.answer = memory.answer if same else read_listing(text)
        except GitTrouble as trouble:
            memory.answer = trouble
        memory.asked = asked

    async def _make(self, commit: str, path: str, place: Path) -> None:
        try:
            folder = await anyio.to_thread.run_sync(begin, place, path)
            await self.fill(commit, path, folder)
            await anyio.to_thread.run_sync(complete, place)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(give_up, place)

    async def fill(self, commit: str, path: str, folder: Path, deep: int = 0) -> None:
        """Puts a folder of a fetched commit, with what it has from elsewhere, into an empty one."""
        async with self._memory.busy:
            mirror, limits = self._mirror(), self.source.limits
            work = partial(lay_out, self.mirror, commit, path, folder, limits)
            tree, large = await anyio.to_thread.run_sync(work)
            if large:
                await fill_large(mirror, folder, large)
            wanted = self.source.submodules and bool(tree.submodules)
            urls = await urls_of(mirror, commit) if wanted else {}
        for name, module in tree.submodules if wanted else ():
            shown = name.decode("utf-8", "replace")
            url = urls.get(f"{path}/{shown}" if path else shown)
            if url is None or deep == DEEPEST or len(tree.submodules) > MOST:
                message = (
                    f"{self.url}: the submodule {shown} has no URL in .gitmodules, or there are too many"
                )
                raise GitTrouble("SubmoduleRefused", message)
            other = self._repositories.open(source_of(self.source, url, module))
            await other.fetch(Seen(module, "", module))
            await other.fill(module, "", folder / os.fsdecode(name), deep + 1)

    async def _swept(self) -> None:
        async with self._memory.busy:
            self._sweep()

    def _place(self, commit: str, path: str) -> Path:
        seen = f"{path}\0submodules" if self.source.submodules else path
        return self.trees / f"{commit}-{hashlib.sha256(seen.encode()).hexdigest()[:8]}"

    def _mirror(self) -> Mirror:
        access = credentials.with_place(self._access(), self.source, self.place)
        return Mirror(self.mirror, self.source, access, self._server)

    def _access(self) -> Access:
        with explained(self.url):
            self._repositories.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return credentials.access(self.source, self._repositories.home, self._repositories.folder)

    def _sweep(self) -> None:
        """What a life that was killed has left: nobody else works here."""
        if self._memory.swept:
            return
        with explained(self.url):
            sweep(self.mirror)
            for path in self.trees.glob(f"{UNFINISHED}*"):
                remove_tree(path)
        self._memory.swept = True

    def _forget(self, keep: frozenset[str]) -> None:
        for path in list(self.trees.iterdir()) if self.trees.is_dir() else ():
            if path.is_dir() and path.name.partition("-")[0] not in keep:
                remove(path)
        for path in (self.mirror / "refs" / "atek").glob("*"):
            if path.name.partition("-")[0] not in keep:
                path.unlink()
