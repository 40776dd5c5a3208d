"""What a tool installed into one copy of a package, kept so that the next copy need not install it again.

    tree-<key>/about.json       what was installed, by what, and what its install scripts read
    tree-<key>/tree/            the files: never run from, never built in, only ever copied
    tree-<key>/spares/<name>/   other such copies, made beforehand; a package copy gets one by a rename
    tree-<key>/used/<copy>/     taken back from a package copy that goes: a spare, if nobody wrote to it
    tree-<key>/fingerprints/           by name of a spare or a copy: what tells whether anybody wrote to it

Every package copy has files of its own. Hard links would be one file under two names: a build or a program
that writes into such a file in place (patch-package does, and whoever opens a log or a database to append)
would change it for revisions that run, or that are to be started again; and no mode of a file keeps its owner
from it. So files are cloned where the file system can (btrfs, XFS: reflinks share blocks until somebody
writes), else copied; and as a copy takes its time, the spare is made while nobody waits for it. Where edits
follow each other nothing is copied or deleted at all: the spare goes to the new revision, and what the old
one had is the next spare.

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
from runtimes.data.removal import remove_tree
from runtimes.packages.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from runtimes.data.trash import Trash

#: Runs cp with these words. Raises RuntimeFailure.
Run: TypeAlias = "Callable[[list[str]], Awaitable[None]]"
#: Beside a copy: a tree that is being taken from it, or given to it.
TREE_ON_ITS_WAY = ".tree-"
#: Bytes. Of more than this no spare is kept: the disk has better uses, and a build takes longer than a copy.
LARGEST_SPARE = 256 << 20
#: And none where there is not room for this many.
SPARE_ROOM = 10
#: One is made; another one is taken back. So there is one while the old revision has not ended yet.
MOST_SPARES = 2


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
    """Words that copy with modes, times and links; blocks are shared where the file system can.

    Looking for attributes that no package has, as `cp -a` does, would take it half as long again.
    """
    kept = "--preserve=mode,timestamps,links"
    return ["cp", "-dR", kept, "--reflink=auto", "--", *map(os.fspath, sources), os.fspath(target)]


class Tree:
    """The tree of one key, there or not. `making`: the trees of which somebody makes a spare just now."""

    def __init__(self, folder: Path, making: dict[Path, anyio.Event], trash: Trash) -> None:
        self.folder = folder
        self._making = making
        self._trash = trash

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
        with suppress(FileNotFoundError):
            self._trash.throw(self.folder)
        unfinished.rename(self.folder)
        if self._is_worth_it(about):
            # What it was taken from is as good as any clone of it, when that goes.
            taken = await anyio.to_thread.run_sync(fingerprint, copy, about.names)
            self._note(copy.name, taken)

    async def lay(self, copy: Path, about: About, run: Run) -> None:
        """Gives a package copy files of its own: a spare, which may be in the making, else a clone."""
        while not (spares := self._spares()) and (made := self._making.get(self.folder)):
            await made.wait()
        if spares:
            self._give(spares[0], copy, about)
        else:
            await _clone(self.folder / "tree", copy, about.names, run)

    def _give(self, spare: Path, copy: Path, about: About) -> None:
        taken = self.folder.with_name(f"{TREE_ON_ITS_WAY}{copy.name}")
        spare.rename(taken)
        with suppress(FileNotFoundError):
            self._fingerprint(spare.name).rename(self._fingerprint(copy.name))
        _move(taken, copy, about.names)
        # Removing an empty folder takes a disk longer than all the rest of this.
        self._trash.throw(taken)

    async def prewarm(self, run: Run) -> None:
        """Makes a spare, where that is worth it and there is none."""
        about = self.about()
        if about is None or self._spares() or self.folder in self._making or not self._is_worth_it(about):
            return
        self._making[self.folder] = anyio.Event()
        name = _new_name()
        unfinished = self.folder / f".spare-{name}"
        try:
            await anyio.to_thread.run_sync(self._forget_half_made)
            await run(cp([self.folder / "tree"], unfinished))
            with suppress(OSError):
                # Somebody may have cleared the tree away.
                self._add(
                    unfinished, name, await anyio.to_thread.run_sync(fingerprint, unfinished, about.names)
                )
        finally:
            self._making.pop(self.folder).set()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(remove_tree, unfinished)

    def take_back(self, name: str, thrown: Path) -> None:
        """Takes what the package copy of that name was given out of it, wherever that is by now.

        What cannot be taken goes with it.
        """
        if not self._fingerprint(name).exists() or (about := self.about()) is None:
            return
        used = self.folder / "used" / name
        with suppress(OSError):
            used.mkdir(mode=0o700, parents=True)
            _move(thrown, used, about.names)

    async def restore(self) -> None:
        """Of what was taken back, what is as it was made is a spare again, and the rest trash.

        Raises OSError.
        """
        for used in self._entries("used"):
            # Somebody else may be at it, or may have cleared the tree away.
            with suppress(FileNotFoundError):
                untouched = await self._untouched(used)
                if untouched and len(self._spares()) < MOST_SPARES:
                    self._add(used, _new_name(), untouched)
                else:
                    self._trash.throw(used)
            self._fingerprint(used.name).unlink(missing_ok=True)

    async def _untouched(self, used: Path) -> str:
        """Its fingerprint; empty where it is of no use as a spare."""
        about = self.about()
        if about is None or len(self._spares()) >= MOST_SPARES or not self._is_worth_it(about):
            return ""
        found = await anyio.to_thread.run_sync(fingerprint, used, about.names)
        return found if found == self._fingerprint(used.name).read_text() else ""

    def _add(self, made: Path, name: str, taken: str) -> None:
        """Raises OSError."""
        (self.folder / "spares").mkdir(mode=0o700, exist_ok=True)
        self._note(name, taken)
        made.rename(self.folder / "spares" / name)

    def _note(self, name: str, taken: str) -> None:
        place = self._fingerprint(name)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        place.write_text(taken)

    def _spares(self) -> list[Path]:
        return self._entries("spares")

    def _entries(self, folder: str) -> list[Path]:
        try:
            return sorted((self.folder / folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _fingerprint(self, name: str) -> Path:
        return self.folder / "fingerprints" / name

    def _forget_half_made(self) -> None:
        """By a life of this node that has ended in the middle of it."""
        for left in self.folder.glob(".spare-*"):
            if left.name.split("-")[1] != str(os.getpid()):
                remove_tree(left)

    def _is_worth_it(self, about: About) -> bool:
        if about.only or about.size > LARGEST_SPARE:
            return False
        return shutil.disk_usage(self.folder).free > SPARE_ROOM * about.size


def _new_name() -> str:
    return f"{os.getpid()}-{uuid.uuid4().hex[:8]}"


def inside(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Those of them that lie in the folder: a tool or a program may make a link out of it of `.yarn`,
    and what is found behind that is nothing to be copied, moved or deleted.
    """
    root = os.path.realpath(folder)
    above = {name: os.path.realpath(os.path.dirname(os.path.join(root, name))) for name in names}
    return tuple(name for name, place in above.items() if place == root or place.startswith(f"{root}/"))


def _move(source: Path, target: Path, names: Iterable[str]) -> None:
    """Raises OSError."""
    for name in inside(target, inside(source, names)):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).rename(target / name)


async def _clone(source: Path, target: Path, names: Iterable[str], run: Run) -> None:
    """One run for all that lies directly in the folder, another for each name below."""
    names = inside(target, inside(source, names))
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
