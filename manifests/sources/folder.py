"""Manifests from the files of a folder, or from a single file.

Only what changed is read again, and an unchanged file keeps its very objects, so a thousand files cost what
ten cost. Nothing is concluded in haste: a file that vanished may be on its way back (editors rename), one
that was just modified may not be whole yet, an empty or broken one keeps its last good services, and a folder
that is gone as a whole takes nothing with it.
"""

from __future__ import annotations

import errno
import math
import os
import time
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.documents.text import SUFFIXES
from manifests.model.snapshot import Problem, Snapshot
from manifests.sources.below import is_below
from manifests.sources.contents import Contents
from manifests.sources.formats import parse_manifests
from manifests.sources.listing import UNREADABLE, Listing, Signature, is_manifest, list_folder, sign
from manifests.sources.trust import Distrusted, distrust
from manifests.sources.watcher import FolderWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from manifests.model.snapshot import SourceKind
    from manifests.sources.contents import Parser
    from manifests.sources.last_good import LastGood
    from manifests.sources.watcher import FolderChanges

#: Seconds. A file modified this recently, without anybody saying that it is whole, is looked at later.
SETTLE = 0.1
#: A file that was created is looked at this much later, should no event say before that it is whole.
CREATED = 1.0
#: Files count as deleted when nothing more has vanished for so long: a checkout, a synchroniser, somebody may
#: put them back. Sooner when another one came meanwhile, so that a renamed file is declared twice for no
#: longer than that; later when the folder is just back.
REMOVAL = 1.5
RENAMED = 0.15
RETURNED = 2.0
#: Last good texts are written this much after a change, and again this much after a failure.
KEEP = 0.25
KEEP_AGAIN = 30.0
#: More files than this are read, and listed, in a thread.
FEW = 64


class FolderSource:
    """A `Source` of one folder (its files, and Compose files of folders below), or of one file.

    `parse` serves files that are written otherwise; `optional`: a single file need not exist.
    """

    def __init__(
        self,
        path: str | Path,
        name: str,
        last_good: LastGood | None = None,
        kind: SourceKind = "file",
        *,
        parse: Parser = parse_manifests,
        optional: bool = False,
    ) -> None:
        path = os.path.abspath(path)
        named_as_file = os.path.splitext(path)[1].lower() in SUFFIXES and not os.path.isdir(path)
        self._only = os.path.basename(path) if named_as_file or os.path.isfile(path) else None
        self._folder = os.path.dirname(path) if self._only else path
        self._name = name
        self._kind = kind
        self._optional = optional
        self._last_good = last_good
        self._contents = Contents(self._folder, parse, last_good)
        self._known = False
        self._gone: Problem | None = None
        self._device: int | None = None
        self._below: tuple[str, ...] = ()
        # When to look at a name again; those that vanished are deleted together at `_removal`.
        self._later: dict[str, float] = {}
        self._vanished: set[str] = set()
        # When a file is read although others vanished that it depends on.
        self._without: dict[str, float] = {}
        self._removal = math.inf
        self._returned = -math.inf
        self._watched = False
        self._snapshot: Snapshot | None = None
        self._lock = anyio.Lock()
        self._to_keep = anyio.Event()

    @property
    def name(self) -> str:
        return self._name

    @property
    def snapshot(self) -> Snapshot:
        """See `Source`. Not known before the first scan."""
        if self._snapshot is None or self._snapshot.known != self._known:
            problems = self._contents.problems() + (self._last_good.problems if self._last_good else ())
            self._snapshot = Snapshot(
                self._name,
                self._kind,
                self._contents.revision,
                self._contents.services(),
                (self._gone, *problems) if self._gone else problems,
                self._known,
                self._contents.warnings(),
            )
        return self._snapshot

    async def scan(self) -> None:
        """See `Source`. While nobody watches, this also waits for files that are just being written."""
        await self._look(None)
        give_up = anyio.current_time() + 2 * RETURNED
        while not self._watched and (due := self._next()) < give_up:
            await anyio.sleep_until(due)
            await self._look(self._due())

    async def watch(self, changed: Callable[[], None]) -> None:
        """See `Source`."""
        watcher = FolderWatcher(self._folder)
        self._watched = True
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep, changed)
                await self._follow(watcher, changed)
        finally:
            self._watched = False
            watcher.close()

    async def _follow(self, watcher: FolderWatcher, changed: Callable[[], None]) -> None:
        everything = True
        self._contents.changed = False
        while True:
            if watcher.renew() or everything:
                await self._look(None)
            if self._contents.changed:
                self._contents.changed = False
                changed()
            if watcher.follow(self._linked_folders(), self._below):
                everything = True
                continue
            everything = await self._hear(await watcher.wait(max(0.0, self._next() - anyio.current_time())))

    async def _hear(self, changes: FolderChanges) -> bool:
        """Looks at the files that changed; True when everything has to be looked at."""
        for name in filter(self._is_ours, changes.created):
            self._later.setdefault(name, anyio.current_time() + CREATED)
        complete = set(filter(self._is_ours, changes.complete)) | self._contents.depending(
            changes.complete | changes.suspect
        )
        names = complete | set(filter(self._is_ours, changes.suspect)) | self._due()
        if names:
            await self._look(names, complete=complete)
        return changes.rescan

    def _is_ours(self, name: str) -> bool:
        if self._only:
            return name == self._only
        return is_below(name) if os.sep in name else is_manifest(name)

    def _next(self) -> float:
        """When to look again without any event."""
        removal = self._removal if self._vanished else math.inf
        return min(removal, min(self._later.values(), default=math.inf))

    def _due(self) -> set[str]:
        now = anyio.current_time()
        due = {name for name, at in self._later.items() if at <= now}
        return due | self._vanished if self._removal <= now else due

    async def _look(self, names: Collection[str] | None, *, complete: Collection[str] = ()) -> None:
        """Looks at these files, or at the whole folder; `complete` ones are read even if unchanged."""
        async with self._lock:
            try:
                if (why := distrust(self._contents.path(self._only or ""))) is not None:
                    raise Distrusted(why)
                listing = await self._list(names)
                if names is None and self._is_unmounted(listing):
                    raise OSError(errno.ENODEV, "it is empty and on another disk than before")
            except OSError as error:
                self._lose(error)
            else:
                self._find(listing)
                looked_at = (
                    self._contents.entries.keys() | listing.files.keys() if names is None else set(names)
                )
                self._miss(looked_at - listing.files.keys())
                files = [
                    (name, found)
                    for name, found in listing.files.items()
                    if self._is_due(name, found, complete)
                ]
                if any(name not in self._contents.entries for name, _ in files):
                    self._removal = min(self._removal, self._removal_after(RENAMED))
                await self._read(files, listing.device)
            if self._contents.changed:
                self._snapshot = None
                self._to_keep.set()

    async def _list(self, names: Collection[str] | None) -> Listing:
        """Raises OSError when there is no folder."""
        if names is None and not self._only:
            if len(self._contents.entries) > 10 * FEW:
                return await anyio.to_thread.run_sync(list_folder, self._folder)
            return list_folder(self._folder)
        device = os.stat(self._folder).st_dev
        wanted = {self._only} if self._only else set(names or ())
        found = {name: sign(self._contents.path(name)) for name in wanted if name}
        return Listing({name: signature for name, signature in found.items() if signature}, device)

    def _is_unmounted(self, listing: Listing) -> bool:
        """An empty folder on another disk than the files were on is where a disk should be mounted."""
        if listing.files or self._only:
            return False
        if self._device is not None:
            return bool(self._contents.entries) and listing.device != self._device
        kept = self._last_good.load_all() if self._last_good else {}
        return any(record.device != listing.device for record in kept.values())

    def _lose(self, error: OSError) -> None:
        """The folder cannot be listed, or not believed: all that is known stays as it was."""
        what = f"folder {self._folder}"
        if isinstance(error, Distrusted):
            problem = Problem(error.why.message, hint=f"{error.why.hint}; its services stay as they were")
        elif error.errno == errno.ENOENT:
            problem = Problem(f"{what} is gone", hint="its services stay as they were until it returns")
        else:
            problem = Problem(
                f"{what} cannot be read: {error.strerror}", hint="its services stay as they were"
            )
        self._set_gone(problem)
        self._vanished.clear()
        self._later.clear()
        if not self._known:
            self._contents.restore()
            self._known = bool(self._contents.entries) or (self._optional and error.errno == errno.ENOENT)

    def _find(self, listing: Listing) -> None:
        """The folder is there."""
        returned = self._gone is not None and bool(self._contents.entries)
        missing = self._only and not self._optional and not listing.files
        message = f"there is no file {self._contents.path(self._only or '')}"
        if missing and not self._known:
            self._contents.restore()
        self._set_gone(Problem(message, hint="create it, or leave it out") if missing else None)
        self._device = listing.device
        self._below = self._below if listing.below is None else listing.below
        if returned and not missing:
            self._returned = anyio.current_time()
        first, self._known = not self._known, self._known or not missing or bool(self._contents.entries)
        if first and self._last_good and not missing:
            self._last_good.prune(listing.files.keys())
            self._to_keep.set()

    def _set_gone(self, problem: Problem | None) -> None:
        if problem != self._gone:
            self._gone = problem
            self._contents.changed = True

    def _miss(self, absent: Collection[str]) -> None:
        """Files that are not there: deleted, once that has lasted."""
        for name in absent:
            self._later.pop(name, None)
        lost = {name for name in self._contents.entries.keys() & set(absent) if self._was_seen(name)}
        if lost - self._vanished:
            self._vanished |= lost
            self._removal = self._removal_after(REMOVAL)
        elif self._removal <= anyio.current_time():
            for name in lost:
                self._contents.remove(name)
            self._vanished -= lost

    def _removal_after(self, seconds: float) -> float:
        return max(anyio.current_time() + seconds, self._returned + RETURNED)

    def _was_seen(self, name: str) -> bool:
        """A single file that only an earlier life has seen is missed, not deleted."""
        return not self._only or self._contents.entries[name].signature != UNREADABLE

    def _is_due(self, name: str, found: Signature, complete: Collection[str]) -> bool:
        """Whether a file changed, and is whole as far as one can know; otherwise it is looked at later."""
        self._vanished.discard(name)
        entry = self._contents.entries.get(name)
        beside = self._contents.beside(name)
        if beside == "vanished" and anyio.current_time() < self._without_at(name):
            return False
        self._without.pop(name, None)
        if name not in complete:
            if entry and entry.signature == found != UNREADABLE and entry.digest and beside == "same":
                self._later.pop(name, None)
                return False
            if 0 <= (age := time.time() - found.modified_ns / 1e9) < SETTLE:
                self._later[name] = anyio.current_time() + SETTLE - age
                return False
        self._later.pop(name, None)
        return True

    def _without_at(self, name: str) -> float:
        """What a file depends on may be on its way back like any other: when it is read without that."""
        self._later[name] = self._without.setdefault(name, anyio.current_time() + REMOVAL)
        return self._later[name]

    async def _read(self, files: list[tuple[str, Signature]], device: int) -> None:
        if len(files) > FEW:
            readings = await anyio.to_thread.run_sync(self._contents.read, files)
        else:
            readings = self._contents.read(files)
        for reading in readings:
            self._contents.apply(reading, device)

    def _linked_folders(self) -> set[str]:
        """Where the files are that links of this folder lead to."""
        links = self._contents.linked()
        real = {os.path.dirname(os.path.realpath(self._contents.path(name))) for name in links}
        return real - {os.path.realpath(self._folder)} if links else real

    async def _keep(self, changed: Callable[[], None]) -> None:
        """Writes last good texts behind everybody's back."""
        while self._last_good is not None:
            await self._to_keep.wait()
            self._to_keep = anyio.Event()
            await anyio.sleep(KEEP)
            while self._last_good.pending:
                if await anyio.to_thread.run_sync(self._last_good.write):
                    self._snapshot = None
                    changed()
                if self._last_good.failing:
                    await anyio.sleep(KEEP_AGAIN)
