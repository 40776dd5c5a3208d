"""Watches whole folder trees. inotify(7) knows single folders only, so each one is watched.

A folder is watched before it is listed, so that nothing slips in between; one that comes later is walked when
the kernel tells of it. What belongs to no package is left out: nobody spends a watch on `node_modules`.
Walking takes a while and is done in threads, never by two of them at once.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread

from manifests import inotify
from manifests.inotify import Inotify
from manifests.model.ignored import is_ignored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from manifests.inotify import Event

#: Seconds. Changes belong together that follow one another so soon; nobody waits longer for the last of them.
STEP, DEBOUNCE = 0.1, 0.2

_COMES = inotify.CREATE | inotify.MOVED_TO


class Trees:
    """The folders of some roots. Raises OSError where the kernel has no queue left to give.

    Of a folder that the kernel has no watch left for, and that this user may not list, there are no events.
    """

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._watches: dict[str, int] = {}
        # One folder may be seen by several paths: a link, a bind mount.
        self._paths: dict[int, set[str]] = {}
        self._roots: set[str] = set()
        # Folders to walk.
        self._new: set[str] = set()

    async def add(self, root: str) -> None:
        """Watches a folder and all below it."""
        self._roots.add(root)
        await anyio.to_thread.run_sync(self._walk, root)

    def has(self, root: str) -> bool:
        """Whether it would be told of: no longer when the folder was removed, even if there is one again."""
        return root in self._watches

    def drop(self, root: str) -> None:
        """Watches it no longer, but for what is part of another root."""
        self._roots.discard(root)
        self._forget([path for path in self._watches if not roots_of(path, self._roots)])

    async def wait(self) -> None:
        """Returns once there is something to read."""
        await self._inotify.wait()

    async def changes(self) -> set[str]:
        """The roots whose packages changed: something came, went, was written and closed, got another mode.

        Waits a moment for what belongs together.
        """
        changed = self._read()
        with anyio.move_on_after(DEBOUNCE):
            while await self._again():
                changed |= self._read()
        while self._new:
            await anyio.to_thread.run_sync(self._walk, self._new.pop())
        return set().union(*(roots_of(path, self._roots) for path in changed))

    def close(self) -> None:
        """Safe to call again."""
        self._inotify.close()

    async def _again(self) -> bool:
        with anyio.move_on_after(STEP):
            await self._inotify.wait()
            return True
        return False

    def _read(self) -> set[str]:
        changed: set[str] = set()
        while events := self._inotify.read():
            for event in events:
                changed |= self._sort(event)
        return changed

    def _sort(self, event: Event) -> set[str]:
        if event.mask & inotify.OVERFLOW:
            self._new |= self._roots
            return set(self._roots)
        folders = self._paths.get(event.watch, set())
        if event.mask & inotify.IGNORED:
            self._forget(folders)
            return set()
        if not event.name:
            # Below a root, the folder above tells it too; the mode of a root is no part of its package.
            return folders & self._roots if event.mask & inotify.GONE else set()
        if is_ignored(event.name):
            return set()
        paths = {os.path.join(folder, event.name) for folder in folders}
        if event.mask & inotify.ISDIR:
            self._folders_move(event, paths)
        return paths

    def _folders_move(self, event: Event, paths: set[str]) -> None:
        if event.mask & inotify.MOVED_FROM:
            self._forget([path for path in self._watches if any(_is_below(path, gone) for gone in paths)])
        elif event.mask & _COMES:
            self._new |= paths

    def _walk(self, top: str) -> None:
        """For a thread. What vanishes meanwhile is told by the folder above it."""
        waiting = [top]
        while waiting:
            anyio.from_thread.check_cancelled()
            path = waiting.pop()
            with suppress(OSError):
                self._note(path, self._inotify.add(path))
                waiting += _folders(path)

    def _note(self, path: str, watch: int) -> None:
        if self._watches.get(path) != watch:
            self._forget([path])
        self._watches[path] = watch
        self._paths.setdefault(watch, set()).add(path)

    def _forget(self, gone: Iterable[str]) -> None:
        for path in list(gone):
            if (watch := self._watches.pop(path, None)) is None:
                continue
            self._paths[watch].discard(path)
            if not self._paths[watch]:
                del self._paths[watch]
                self._inotify.remove(watch)


def roots_of(path: str, roots: Collection[str]) -> set[str]:
    """The roots that have this path among the files of their package."""
    found: set[str] = set()
    name = ""
    # Upwards, until a name that is no part of any package above it.
    while path not in {"/", ""} and not is_ignored(name):
        if path in roots:
            found.add(path)
        path, name = os.path.split(path)
    return found


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _folders(path: str) -> Iterator[str]:
    with os.scandir(path) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and not is_ignored(entry.name):
                    yield entry.path
