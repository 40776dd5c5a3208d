"""How a commit gets here: as little of it as the server can be asked for.

Each server is asked for the best first, and what it cannot is not asked again in this life:

    one commit without its history, for a folder of it without the files of the others (a partial clone)
    one commit without its history
    its branch or tag with all history            plain web servers, and those older than short histories
    all branches and tags                         where a commit cannot be asked for by its id

A commit that is here whole has a name of its own in the mirror, so that nothing is asked for twice.
"""

from __future__ import annotations

import os
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from reconciler.gitops.git import FETCH, git
from reconciler.gitops.objects import Commit, Missing, objects
from reconciler.gitops.troubles import GitTrouble
from runtimes.packages.store import remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.git_source import GitSource
    from reconciler.gitops.git import Access
    from reconciler.gitops.listing import Seen

#: Where the mirror keeps what was fetched.
REFS = "refs/atek"
_QUIET = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc")
#: How servers, and git of them, say that they cannot.
_LACKS = ("shallow", "unadvertised", "not our ref", "filter", "couldn't find remote ref", "did not contain")
#: What git says of objects that a power cut took.
_DAMAGED = ("corrupt", "bad object", "loose object", "unresolved deltas", "not a valid object")


async def fetch(
    mirror: Path, seen: Seen, path: str, source: GitSource, access: Access, server: anyio.Lock
) -> Commit:
    """Raises GitTrouble. What a damaged mirror has is fetched anew, once."""
    work = Fetching(mirror, seen, path, source, access, server)
    try:
        return await work.run()
    except GitTrouble as trouble:
        words = (*_DAMAGED, str(mirror))
        if not isinstance(trouble, Missing) and not any(each in trouble.message for each in words):
            raise
    await anyio.to_thread.run_sync(remove_tree, mirror)
    return await work.run()


class Fetching:
    """One commit, on its way."""

    def __init__(
        self, mirror: Path, seen: Seen, path: str, source: GitSource, access: Access, server: anyio.Lock
    ) -> None:
        self._mirror = mirror
        self._seen = seen
        self._path = path
        self._source = source
        self._server = server
        self._local = partial(git, url=source.url, mirror=str(mirror))
        self._remote = partial(
            git, url=source.url, mirror=str(mirror), access=access, seconds=FETCH, largest=source.limits.pack
        )

    async def run(self) -> Commit:
        await self._make()
        if not self._is_here():
            await self._get()
        if self._path:
            await self._get_files()
        return await anyio.to_thread.run_sync(self._read)

    async def _make(self) -> None:
        if (self._mirror / "config").is_file():
            return
        unfinished = self._mirror.with_name(f".new-{self._mirror.name}")
        await anyio.to_thread.run_sync(remove_tree, unfinished)
        kind = "sha256" if len(self._seen.commit) == 64 else "sha1"
        await git(
            "init",
            "--quiet",
            "--bare",
            "--template=",
            f"--object-format={kind}",
            "--",
            str(unfinished),
            url=self._source.url,
        )
        await git(
            "config", "remote.origin.url", self._source.url, url=self._source.url, mirror=str(unfinished)
        )
        await anyio.to_thread.run_sync(remove_tree, self._mirror)
        os.rename(unfinished, self._mirror)

    def _is_here(self) -> bool:
        return (self._mirror / REFS / self._seen.commit).is_file()

    async def _get(self) -> None:
        """The commit and its folders; the files too, where the whole is wanted."""
        wanted = f"+{self._seen.object or self._seen.commit}:{REFS}/{self._seen.commit}"
        some = ["--filter=blob:none"] if self._path else []
        named = self._seen.ref and f"+{self._seen.ref}:{REFS}/{self._seen.commit}"
        everything = "+refs/*:refs/all/*"
        ways = (
            [wanted, "--depth=1", *some],
            [wanted, *some],
            *([[named, *some]] if named else ()),
            [everything],
        )
        for index, way in enumerate(ways):
            try:
                await self._ask(*way)
                break
            except GitTrouble as trouble:
                if not _cannot(trouble) or index == len(ways) - 1:
                    raise
        if not self._is_here():
            await self._name_it()

    async def _name_it(self) -> None:
        try:
            await self._local(
                "update-ref", f"{REFS}/{self._seen.commit}", self._seen.object or self._seen.commit
            )
        except GitTrouble as trouble:
            raise GitTrouble(
                "CommitMissing",
                f"{self._source.url} has no commit {self._seen.commit[:12]}",
                hint="see ref in [[sources.git]]",
            ) from trouble

    async def _get_files(self) -> None:
        """What the folder's files are, in one more question; a server that sent them already is not asked."""
        tree = await anyio.to_thread.run_sync(self._folder)
        said = await self._local("rev-list", "--objects", "--missing=print", "--no-object-names", tree)
        missing = [line[1:] for line in said.decode().split() if line.startswith("?")]
        if not missing:
            return
        descriptor = os.memfd_create("wanted", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write("".join(f"{name}\n" for name in missing).encode())
            os.lseek(descriptor, 0, os.SEEK_SET)
            # Who says which commits he has is not given their files.
            await self._ask("--filter=blob:none", "--stdin", stdin=descriptor)
        finally:
            os.close(descriptor)

    async def _ask(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> None:
        options = [each for each in arguments if each.startswith("--")]
        refs = [each for each in arguments if not each.startswith("--")]
        settings = ("-c", "fetch.negotiationAlgorithm=noop") if "--stdin" in options else ()
        async with self._server:
            await self._remote(*settings, "fetch", *_QUIET, *options, "origin", *refs, stdin=stdin)

    def _folder(self) -> str:
        with objects(self._mirror) as found:
            return found.folder(self._seen.commit, self._path)

    def _read(self) -> Commit:
        with objects(self._mirror) as found:
            return found.commit(self._seen.commit)


def _cannot(trouble: GitTrouble) -> bool:
    """Whether the server lacks something, so that it is asked for less."""
    return any(each in trouble.message.lower() for each in _LACKS)
