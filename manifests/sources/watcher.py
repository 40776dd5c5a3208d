"""News about one folder: which of its files to look at again, and how sure one can be of them.

The folder is watched before anybody lists it, so that nothing can slip in between. Folders that links lead
to are watched too. Where the kernel has no watch left to give, the news is "look at everything" every two
seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from manifests.sources import inotify
from manifests.sources.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.sources.inotify import Event

#: Seconds between two looks without inotify, and between two looks for a folder that is gone.
POLL = 2.0
LOOK_FOR_FOLDER = 1.0
#: Nothing tells when a folder above is renamed, so that the path leads elsewhere: ask this often.
RENEW = 30.0

_WHOLE = inotify.CLOSE_WRITE | inotify.MOVED_TO
_HINT = inotify.MOVED_FROM | inotify.DELETE | inotify.ATTRIB


@dataclass(slots=True)
class News:
    """Names of files, by what is known of them.

    `whole` were written and closed, or renamed into place; `suspect` vanished or changed otherwise; `begun`
    were created and are probably still being written. `everything`: list the folder again.
    """

    whole: set[str] = field(default_factory=set)
    suspect: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    everything: bool = False


class FolderNews:
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

    async def wait(self, seconds: float) -> News:
        """The next news, empty when there is none within that time (`inf`: as long as it takes)."""
        if self._inotify is None or self._watch is None:
            patience = POLL if self._inotify is None else LOOK_FOR_FOLDER
            await anyio.sleep(min(seconds, patience))
            return News(everything=seconds >= patience)
        with anyio.move_on_after(min(seconds, RENEW)):
            await self._inotify.wait()
        return self._read(self._inotify)

    def close(self) -> None:
        """Safe to call again."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _read(self, queue: Inotify) -> News:
        news = News()
        while events := queue.read():
            for event in events:
                self._sort(event, news)
        news.suspect -= news.whole
        news.begun -= news.whole
        return news

    def _sort(self, event: Event, news: News) -> None:
        if event.mask & inotify.OVERFLOW or event.watch != self._watch:
            news.everything = True
        elif not event.name:
            # `renew` finds out where the path leads now.
            news.everything = news.everything or bool(event.mask & inotify.GONE)
            if event.mask & inotify.IGNORED:
                self._watch = None
        elif event.name.startswith(".."):
            # Kubernetes swaps all files of a mounted ConfigMap at once by the link `..data`.
            news.everything = True
        elif event.mask & _WHOLE:
            news.whole.add(event.name)
        elif event.mask & _HINT or os.path.islink(os.path.join(self._folder, event.name)):
            news.suspect.add(event.name)
        elif event.mask & inotify.CREATE:
            news.begun.add(event.name)
