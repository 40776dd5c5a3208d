"""Prepared packages on disk: a copy per revision of the content, and what was installed for it.

    packages/<id>/<content digest>/     the package's files, installed and built. With an env, which a
                                        build may read, its digest is in the name too; and the runtime's
                                        name, where another runtime has a copy of the same
    packages/<id>/.new-<copy>           that copy is being made; it is prepared when this is gone
    packages/<id>/.made-<copy>          what its preparer has to know about it: what it uses, what runs it
    packages/<id>/<copy> -> checkout    of a process that 0.3 started: it ran in the fetched files themselves
    packages/<id>/tree-<key>/           what was installed, for the next copy: see runtimes.packages.trees
    packages/.trash/                    what nobody needs any more

A copy is made where it stays: tools write absolute paths into what they build. Whatever the moment of a
crash, nothing half made is taken for finished, and what a running revision uses is never written to again.

Clearing away goes by what is on disk and what is kept: a kept revision that is not prepared is being made, or
will be, and may need any dependencies that there are. So all of them stay until each kept one is prepared.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from manifests.model.service import digest
from runtimes.base import RuntimeFailure
from runtimes.data.inventory import author_files, find_out, leave_open, take_inventory
from runtimes.data.retention import Copy, has_run, keep_current, populate, retain
from runtimes.data.trash import Trash
from runtimes.packages.copying import copy_package, require_content
from runtimes.packages.git_history import history_of
from runtimes.packages.tools import disk_full
from runtimes.packages.trees import TREE_ON_ITS_WAY, Tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence

    from manifests.model.service import Service
    from runtimes.base import Progress
    from runtimes.paths import Paths

_DEPENDENCIES = "deps-"
_TREE = "tree-"
_UNFINISHED = ".new-"
_NOTES = ".made-"
_RUNTIME = "runtime"
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: The runtimes that run what is prepared here.
_RUNTIMES = ("node", "python")


class PackageStore:
    """The prepared packages of all services of one node."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._trash = Trash(paths.trash)
        #: Trees of which a spare is being made; who needs one waits for it.
        self._making: dict[Path, anyio.Event] = {}
        #: Copies that can go without taking anything with them that a program wrote.
        self._retained: set[Path] = set()

    def copy(self, service: Service) -> Path:
        """Where the prepared copy of this revision's content is, once it is there."""
        assert service.package is not None
        env = service.manifest.env
        name = f"{service.package.digest}-{digest(env)}" if env else service.package.digest
        place = self.paths.packages(service.id) / name
        own = place.with_name(f"{name}-{service.runtime}")
        # Where the plain name has what another runtime installed. A copy keeps the name that it was given.
        other = _notes(place).get(_RUNTIME, service.runtime) != service.runtime
        return own if other or own.is_dir() else place

    def require(self, service: Service) -> Path:
        """The prepared copy. Raises RuntimeFailure when there is none."""
        copy = self.copy(service)
        if not _is_prepared(copy):
            raise RuntimeFailure("NotPrepared", f"revision {service.revision} is not prepared")
        return copy

    def existing(self, service: Service) -> Path | None:
        """The copy that this revision runs in, by whatever version it was made; None without any."""
        if service.package is None or service.in_place:
            return None
        copy = self.copy(service)
        return copy if _is_prepared(copy) else _of_0_3(copy, service)

    async def make_copy(
        self,
        service: Service,
        progress: Progress,
        finish: Callable[[Path], Awaitable[Mapping[str, Any]]],
        *,
        authors: bool = True,
    ) -> None:
        """Copies the package, lets `finish` complete it, and then only takes it for prepared.

        `finish` returns what has to be known about the copy. `authors`: all that is in the package is its
        author's.
        """
        assert service.package is not None
        place = self.copy(service)
        with _explained(service.id):
            for made in filter(None, (place if _is_prepared(place) else None, _of_0_3(place, service))):
                await anyio.to_thread.run_sync(find_out, made, service)
        if _is_prepared(place):
            return
        with _explained(service.id):
            progress("copying the package")
            async with self._whole_or_gone(place):
                authored = await anyio.to_thread.run_sync(self._begin, place, service)
                with history_of(Path(service.package.path), place):
                    notes = {**await finish(place), _RUNTIME: service.runtime}
                await anyio.to_thread.run_sync(_complete, place, notes, authored if authors else None)

    def _begin(self, place: Path, service: Service) -> set[str]:
        """From here on until the mark is gone, whatever is in the place is not prepared.

        Returns what of it is its author's.
        """
        assert service.package is not None
        mark = _beside(place, _UNFINISHED)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # 0.3 made its copies in a folder of this name.
        if mark.is_dir():
            self._trash.throw(mark)
        mark.touch()
        # What a death left, also of a tree that was on its way into this copy or out of it.
        for left in (place, _beside(place, TREE_ON_ITS_WAY)):
            if os.path.lexists(left):
                self._throw_away(left)
        copy_package(Path(service.package.path), place)
        require_content(place, service.package.digest)
        return author_files(place)

    @asynccontextmanager
    async def _whole_or_gone(self, place: Path) -> AsyncIterator[None]:
        """What failed leaves its place at once, and where there is no space left it is deleted at once."""
        try:
            yield
        except (OSError, RuntimeFailure) as error:
            full = getattr(error, "errno", None) in _FULL or getattr(error, "reason", "") == "DiskFull"
            if full:
                await anyio.to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))
            else:
                with suppress(OSError):
                    self._throw_away(place)
            if not place.exists():
                _beside(place, _UNFINISHED).unlink(missing_ok=True)
            raise

    def stay(self, service: Service) -> None:
        """The revision has run in its package's own folder, and that is its copy. Raises OSError."""
        assert service.package is not None
        place = self.copy(service)
        if not os.path.lexists(place):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Also what its package was known by may have been its program's, in part.
            leave_open(place)
            place.symlink_to(service.package.path)

    def notes(self, copy: Path) -> dict[str, Any]:
        """What was noted about a copy; nothing where nothing was, as for those that 0.3 made."""
        return _notes(copy)

    def tree(self, service: Service, key: str) -> Tree:
        """What is installed under that key, for copies to come."""
        return self._tree(self.paths.packages(service.id) / f"{_TREE}{key}")

    def trees(self, service: Service) -> list[Tree]:
        """Those that a prepared revision has clones of."""
        folder = self.paths.packages(service.id)
        return [self._tree(folder / name) for name in self.notes(self.copy(service)).get("uses", ())]

    def _tree(self, folder: Path) -> Tree:
        return Tree(folder, self._making, self._trash)

    async def populate(self, service: Service, holder: Service | None) -> bool:
        """Gives the copy what the last healthy revision's program wrote in its own, before a first start.

        True when there was something to give. Nobody may be running in the copy. Raises RuntimeFailure.
        """
        if service.package is None or service.in_place:
            return False
        copy = Copy(self.require(service), service)
        if copy.place.is_symlink():
            # What is there is what there was.
            return False
        with _explained(service.id):
            kept = self.paths.kept(service.id)
            return await anyio.to_thread.run_sync(populate, kept, copy, self._held_by(holder))

    def _held_by(self, holder: Service | None) -> Copy | None:
        """The copy with the present state of a service whose revision `holder` was healthy last."""
        if holder is None or holder.package is None or holder.in_place:
            return None
        place = self.copy(holder)
        # What 0.3 made may be running still, or have ended, while there is a copy of today's name already.
        if (old := _of_0_3(place, holder)) and not has_run(place):
            place = old
        return Copy(place, holder) if _is_prepared(place) else None

    def hand_over(self, holder: Service, service_id: str) -> None:
        """What the program of a stopped service wrote is what that of this id begins with. Raises OSError."""
        if copy := self._held_by(holder):
            keep_current(self.paths.kept(service_id), copy)

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """What programs wrote in copies that are not kept is put where it stays; returns where, for people.

        `holder` is the revision that was healthy last. Only what was retained is collected.
        """
        folder = self.paths.packages(service_id)
        if not folder.is_dir():
            return ()
        with _explained(service_id):
            copies = [self.copy(one) for one in keep if one.package]
            going = [Copy(place, holder) for place in _copies(folder) if not _is_kept(place.name, copies)]
            kept = self.paths.kept(service_id)
            told = await anyio.to_thread.run_sync(retain, kept, going, self._held_by(holder))
            self._retained |= {copy.place for copy in going}
        return told

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Takes what no kept revision needs out of its place; `purge` deletes it.

        In one step: what begins to be made from now on finds either all of something or nothing.
        """
        folder = self.paths.packages(service_id)
        if not folder.is_dir():
            return
        with _explained(service_id):
            copies = [self.copy(one) for one in keep if one.package]
            ours = [self.copy(one) for one in keep if one.package and one.runtime in _RUNTIMES]
            making = any(not _is_prepared(copy) for copy in ours)
            spared = [copy for copy in _copies(folder) if copy not in self._retained]
            self._retained -= set(_copies(folder))
            for entry in _unneeded(folder, [*copies, *spared], making=making):
                self._throw_away(entry)
            if not copies and not any(folder.iterdir()):
                folder.rmdir()

    def _throw_away(self, entry: Path) -> None:
        """What was installed in it is taken back, if it is a copy, once nobody can take it for one any more.

        Raises OSError.
        """
        thrown = self._trash.throw(entry)
        for tree in entry.parent.glob(f"{_TREE}*"):
            self._tree(tree).take_back(entry.name, thrown)

    async def purge(self) -> None:
        """Deletes what was taken out of its place, or makes it of use again. Takes its time."""
        try:
            for used in (self.paths.home / "packages").glob(f"*/{_TREE}*/used"):
                await self._tree(used.parent).restore()
            await self._trash.empty()
        except OSError as error:
            message = (
                f"what nobody needs cannot be deleted: {error.strerror or error}: {error.filename or ''}"
            )
            raise RuntimeFailure("CollectFailed", message) from error


def in_use(paths: Paths) -> set[str]:
    """The fetched folders that have what a program wrote, until it is retained."""
    folder = paths.home / "packages"
    services = [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []
    return {os.fspath(place) for service in services for place in _led_to(service)}


def _led_to(folder: Path) -> Iterator[Path]:
    """Where the links among a service's copies lead, also those that are about to be deleted."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_symlink():
            yield entry.readlink()


def _beside(copy: Path, kind: str) -> Path:
    return copy.with_name(f"{kind}{copy.name}")


def _is_prepared(copy: Path) -> bool:
    return copy.is_dir() and not _beside(copy, _UNFINISHED).exists()


def _of_0_3(copy: Path, service: Service) -> Path | None:
    """The copy of this content that 0.3 made, which took no notice of the env."""
    assert service.package is not None
    old = copy.with_name(service.package.digest)
    return old if old != copy and _is_prepared(old) and _is_of_0_3(old) else None


def _is_of_0_3(place: Path) -> bool:
    return _RUNTIME not in _notes(place)


def _names(copy: Path) -> set[str]:
    """Under which a revision's copy may be: it may be running still in what 0.3 made."""
    old = copy.with_name(copy.name[:16])
    return {copy.name, old.name} if _is_of_0_3(old) else {copy.name}


def _complete(place: Path, notes: Mapping[str, Any], authored: Collection[str] | None) -> None:
    """What `authored` is None of was its program's already, in part."""
    _note(place, notes)
    if authored is None:
        leave_open(place)
    else:
        take_inventory(place, authored)
    _beside(place, _UNFINISHED).unlink()


def _note(copy: Path, notes: Mapping[str, Any]) -> None:
    """Keeps what has to be known about a copy as long as there is that copy."""
    place = _beside(copy, _NOTES)
    unfinished = place.with_name(f"{place.name}.new")
    unfinished.write_text(json.dumps(notes))
    unfinished.rename(place)


def _notes(copy: Path) -> dict[str, Any]:
    try:
        value = json.loads(_beside(copy, _NOTES).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _copies(folder: Path) -> list[Path]:
    """All that a program may have run in. What is in making is none."""
    found = [entry for entry in folder.iterdir() if not entry.name.startswith((".", _TREE, _DEPENDENCIES))]
    return [entry for entry in found if entry.is_dir() and _is_prepared(entry)]


def _is_kept(name: str, kept: Collection[Path]) -> bool:
    return any(name in _names(copy) for copy in kept)


def _unneeded(folder: Path, kept: Collection[Path], *, making: bool) -> list[Path]:
    """Everything that no kept copy needs, copies before what they need."""
    known = {name for copy in kept for name in _names(copy)}
    used = {name for copy in map(folder.joinpath, known) for name in _dependencies(copy)}

    def is_needed(name: str) -> bool:
        if name.startswith((_TREE, _DEPENDENCIES)):
            return making or name in used
        return name in known or _owner(name) in known

    unneeded = [entry for entry in folder.iterdir() if not is_needed(entry.name)]
    return sorted(unneeded, key=lambda entry: _turn_to_go(entry.name))


def _turn_to_go(name: str) -> int:
    """Copies, then what is known about them, then what was installed."""
    return 2 if name.startswith((_TREE, _DEPENDENCIES)) else int(name.startswith("."))


def _owner(name: str) -> str:
    """The copy that something beside copies is about: `.made-<copy>`."""
    return name.partition("-")[2].partition(".")[0] if name.startswith(".") else ""


@contextmanager
def _explained(service_id: str) -> Iterator[None]:
    """Translates what the file system says about a package of this service."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(service_id) from error
        raise RuntimeFailure(
            "PrepareFailed",
            f"the package of {service_id} cannot be kept: {error.strerror or error}: {error.filename or ''}",
        ) from error


def _dependencies(copy: Path) -> list[str]:
    """The names of the folders with dependencies that a copy has clones of; one made by 0.3 links to them."""
    folders = [copy / name for name in ("node_modules", ".venv")]
    linked = [Path(os.readlink(folder)).parts[1] for folder in folders if folder.is_symlink()]
    return [*linked, *map(str, _notes(copy).get("uses", ()))]
