"""What a tool installed into one copy of a package, kept so that the next copy need not install it again.

    tree-<key>/about.json   what was installed, by what, and what its install scripts read
    tree-<key>/tree/        the files: never run from, never built in, only ever copied
    tree-<key>/spare/       another such copy, made beforehand; the next package copy gets it by a rename

Every package copy has files of its own. Hard links would be one file under two names: a build or a program
that writes into such a file in place (patch-package does, and whoever opens a log or a database to append)
would change it for revisions that run, or that are to be started again; and no mode of a file keeps its owner
from it. So files are cloned where the file system can (btrfs, XFS: reflinks share blocks until somebody
writes), else copied; and as a copy takes its time, the spare is made while nobody waits for it.

The key names all that the tool itself goes by: dependencies, lock, settings, Node, variables. Install scripts
may read any file of the package besides. So what they read is watched (`written_files`): their result is used
again only where the package has the same file names and these files have the same content, and only if they
wrote nowhere but into what is kept. Otherwise the whole copy as it was after the installation is kept,
for another attempt at the same content after its build failed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.to_thread

from manifests.packages.digests import package_files
from runtimes.packages.store import TREE_ON_ITS_WAY, remove_tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

#: Runs cp with these words. Raises RuntimeFailure.
Run: TypeAlias = "Callable[[list[str]], Awaitable[None]]"
#: Bytes. Of more than this no spare is kept: the disk has better uses, and a build takes longer than a copy.
LARGEST_SPARE = 256 << 20
#: And none where there is not room for this many.
SPARE_ROOM = 10


@dataclass(frozen=True, slots=True)
class About:
    """`names` are the kept files and folders, as paths in the package copy.

    `runner` is the Node that it was installed for. `only` is the content that it belongs to where it can be
    used for no other; `reads` what its scripts read otherwise, None where there are no scripts.
    """

    names: tuple[str, ...]
    size: int = 0
    runner: Mapping[str, str] = field(default_factory=dict)
    only: str = ""
    reads: Mapping[str, str] | None = None
    listing: str = ""


def cp(sources: Iterable[Path], target: Path) -> list[str]:
    """Words that copy with modes, times and links; blocks are shared where the file system can."""
    return ["cp", "-a", "--reflink=auto", "--", *map(os.fspath, sources), os.fspath(target)]


class Tree:
    """The tree of one key, there or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def about(self) -> About | None:
        """None when there is none. What cannot be read is none."""
        try:
            value: dict[str, Any] = json.loads((self.folder / "about.json").read_bytes())
            return About(**{**value, "names": tuple(value["names"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    async def keep(self, copy: Path, about: About, run: Run) -> None:
        """Takes a clone of what was just installed into a package copy, instead of any kept before."""
        unfinished = self.folder.with_name(f"{TREE_ON_ITS_WAY}{copy.name}")
        await anyio.to_thread.run_sync(remove_tree, unfinished)
        (unfinished / "tree").mkdir(mode=0o700, parents=True)
        await _clone(copy, unfinished / "tree", about.names, run)
        (unfinished / "about.json").write_text(json.dumps(asdict(about)))
        await anyio.to_thread.run_sync(remove_tree, self.folder)
        unfinished.rename(self.folder)

    async def lay(self, copy: Path, about: About, run: Run) -> None:
        """Gives a package copy files of its own: the spare, else a clone."""
        spare, taken = self.folder / "spare", self.folder.with_name(f"{TREE_ON_ITS_WAY}{copy.name}")
        if not spare.exists():
            await _clone(self.folder / "tree", copy, about.names, run)
            return
        await anyio.to_thread.run_sync(remove_tree, taken)
        spare.rename(taken)
        for name in about.names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (taken / name).rename(copy / name)
        await anyio.to_thread.run_sync(remove_tree, taken)

    async def anticipate(self, run: Run) -> None:
        """Makes the spare, where that is worth it and there is none."""
        about = self.about()
        if about is None or (self.folder / "spare").exists() or not self._is_worth_it(about):
            return
        for left in self.folder.glob(".spare-*"):
            # Of a life of this node that has ended in the middle of it.
            if left.name.split("-")[1] != str(os.getpid()):
                await anyio.to_thread.run_sync(remove_tree, left)
        unfinished = self.folder / f".spare-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            await run(cp([self.folder / "tree"], unfinished))
            with suppress(OSError):
                # Somebody else may have made one meanwhile, or cleared the tree away.
                unfinished.rename(self.folder / "spare")
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(remove_tree, unfinished)

    def _is_worth_it(self, about: About) -> bool:
        if about.only or about.size > LARGEST_SPARE:
            return False
        return shutil.disk_usage(self.folder).free > SPARE_ROOM * about.size


async def _clone(source: Path, target: Path, names: Iterable[str], run: Run) -> None:
    """One run for all that lies directly in the folder, another for each name below."""
    top = [name for name in names if "/" not in name]
    if top:
        await run(cp([source / name for name in top], target))
    for name in names:
        if "/" in name:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            await run(cp([source / name], (target / name).parent))


def listing(copy: Path, besides: Iterable[str]) -> str:
    """A digest of the names of a package copy's files, without what was installed."""
    total = hashlib.sha256()
    for name, entry in package_files(os.fspath(copy)):
        if not any(name == one or name.startswith(f"{one}/") for one in besides):
            link = os.readlink(entry.path) if entry.is_symlink() else ""
            total.update(f"{name}\0{link}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()[:16]


def contents(copy: Path, names: Iterable[str]) -> dict[str, str]:
    """The content of these files as digests; that of what is none is empty."""
    return {name: _content(copy / name) for name in names}


def _content(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""
