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
from manifests.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.inotify import Event

#: Seconds between two looks without inotify, and between two looks for a folder that is gone.
POLL = 2.0
LOOK_FOR_FOLDER = 1.0
#: Nothing tells when a folder above is renamed, so that the path leads elsewhere: ask this often.
RENEW = 30.0

_COMPLETE = inotify.CLOSE_WRITE | inotify.MOVED_TO
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

    def follow(self, folders: Collection[str]) -> None:
        """Watches these other folders, and no others."""
        if self._inotify is None or self._elsewhere.keys() == set(folders):
            return
        for folder in self._elsewhere.keys() - set(folders):
            self._inotify.remove(self._elsewhere.pop(folder))
        for folder in set(folders) - self._elsewhere.keys():
            try:
                self._elsewhere[folder] = self._inotify.add(folder)
            except OSError:
                continue

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
        if event.mask & inotify.OVERFLOW or event.watch != self._watch:
            changes.rescan = True
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
