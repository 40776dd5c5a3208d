"""Watches one folder: which of its files to look at again, and how sure one can be of them.

The folder is watched before anybody lists it, so that nothing can slip in between. Folders that links lead
to are watched too. Where the kernel has no watch left to give, it says "look at everything" every two
seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from manifests import inotify
from manifests.compose.names import NAMES, OVERRIDES
from manifests.inotify import Inotify
from manifests.sources.below import PACKAGE_FILES

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.inotify import Event

#: Seconds between two looks without inotify, and between two looks for a folder that is gone.
POLL = 2.0
LOOK_FOR_FOLDER = 1.0
#: Nothing tells when a folder above is renamed, so that the path leads elsewhere: ask this often.
RENEW = 30.0

_COMPLETE = inotify.CLOSE_WRITE | inotify.MOVED_TO
#: What is listed of folders below, or says whether they are.
_LISTED = NAMES | frozenset(OVERRIDES) | PACKAGE_FILES
_HINT = inotify.MOVED_FROM | inotify.DELETE | inotify.ATTRIB


@dataclass(slots=True)
class FolderChanges:
    """Names of files, by what is known of them.

    `complete` were written and closed, or renamed into place; `suspect` vanished or changed otherwise;
    `created` are new and probably still being written. `rescan`: list the folder again.
    """

    complete: set[str] = field(default_factory=set)
    suspect: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    rescan: bool = False


class FolderWatcher:
    """Watches one folder for as long as it is open. `renew` first, then `wait` again and again."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._watch: int | None = None
        self._elsewhere: dict[str, int] = {}
        #: Paths of folders below, from the folder on, by their watches.
        self._below: dict[int, str] = {}
        try:
            self._inotify: Inotify | None = Inotify()
        except OSError:
            self._inotify = None

    def renew(self) -> bool:
        """Watches what the path leads to now. True: that is new, and has to be listed after this."""
        if self._inotify is None:
            return False
        before = self._watch
        try:
            self._watch = self._inotify.add(self._folder)
        except (FileNotFoundError, NotADirectoryError):
            self._watch = None
        except OSError:
            self.close()
            return False
        if before is not None and before != self._watch:
            self._inotify.remove(before)
        return self._watch is not None and self._watch != before

    def follow(self, folders: Collection[str], below: Collection[str] = ()) -> bool:
        """Watches these other folders, and these below it, and no others.

        True: one of those below is new, and has to be listed after this.
        """
        if self._inotify is None:
            return False
        self._follow_elsewhere(self._inotify, folders)
        return self._follow_below(self._inotify, set(below))

    def _follow_elsewhere(self, queue: Inotify, folders: Collection[str]) -> None:
        if self._elsewhere.keys() == set(folders):
            return
        for folder in self._elsewhere.keys() - set(folders):
            queue.remove(self._elsewhere.pop(folder))
        for folder in set(folders) - self._elsewhere.keys():
            try:
                self._elsewhere[folder] = queue.add(folder)
            except OSError:
                continue

    def _follow_below(self, queue: Inotify, wanted: set[str]) -> bool:
        for watch, path in list(self._below.items()):
            if path not in wanted:
                del self._below[watch]
                queue.remove(watch)
        is_new = False
        for path in wanted - set(self._below.values()):
            try:
                self._below[queue.add(os.path.join(self._folder, path))] = path
                is_new = True
            except OSError:
                continue
        return is_new

    async def wait(self, seconds: float) -> FolderChanges:
        """The next changes, empty when there are none within that time (`inf`: as long as it takes)."""
        if self._inotify is None or self._watch is None:
            patience = POLL if self._inotify is None else LOOK_FOR_FOLDER
            await anyio.sleep(min(seconds, patience))
            return FolderChanges(rescan=seconds >= patience)
        with anyio.move_on_after(min(seconds, RENEW)):
            await self._inotify.wait()
        return self._read(self._inotify)

    def close(self) -> None:
        """Safe to call again."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _read(self, queue: Inotify) -> FolderChanges:
        changes = FolderChanges()
        while events := queue.read():
            for event in events:
                self._sort(event, changes)
        changes.suspect -= changes.complete
        changes.created -= changes.complete
        return changes

    def _sort(self, event: Event, changes: FolderChanges) -> None:
        if (path := self._below.get(event.watch)) is not None:
            self._sort_below(path, event, changes)
        elif event.mask & inotify.OVERFLOW or event.watch != self._watch:
            changes.rescan = True
        elif event.mask & inotify.ISDIR and event.name:
            # A folder below came or went; what came is listed, and watched, after this.
            changes.rescan = changes.rescan or not event.name.startswith(".")
        elif not event.name:
            # `renew` finds out where the path leads now.
            changes.rescan = changes.rescan or bool(event.mask & inotify.GONE)
            if event.mask & inotify.IGNORED:
                self._watch = None
        elif event.name.startswith(".."):
            # Kubernetes swaps all files of a mounted ConfigMap at once by the link `..data`.
            changes.rescan = True
        elif event.mask & _COMPLETE:
            changes.complete.add(event.name)
        elif event.mask & _HINT or os.path.islink(os.path.join(self._folder, event.name)):
            changes.suspect.add(event.name)
        elif event.mask & inotify.CREATE:
            changes.created.add(event.name)

    def _sort_below(self, path: str, event: Event, changes: FolderChanges) -> None:
        """Programs may write there, too: only what may make another list is a reason for one."""
        if event.mask & inotify.IGNORED:
            del self._below[event.watch]
        if not event.name or event.mask & (inotify.GONE | inotify.ISDIR) or event.name in _LISTED:
            changes.rescan = True
        else:
            name = os.path.join(path, event.name)
            (changes.complete if event.mask & _COMPLETE else changes.suspect).add(name)
