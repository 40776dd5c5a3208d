"""Single files, watched wherever they lie: secrets, which are in no package.

The kernel tells of the folders that they are in, and of those that links lead to; what counts is whether the
file is another one, or was written. A look every few seconds finds what no event told.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import anyio

from manifests.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    #: Device, inode, size and time of its last change; None where there is no file.
    Signature = tuple[int, int, int, int] | None

#: Seconds between two looks at all of them.
LOOK_AGAIN = 5.0
#: Seconds that a change may take: an editor writes, renames and sets rights.
GATHER = 0.05


class FileWatcher:
    """Calls `changed(path)` after each change of a file."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._seen: dict[str, Signature] = {}
        self._wanted = anyio.Event()

    def set_files(self, files: Collection[str]) -> None:
        """Watches these, existing or not, and no others."""
        if self._seen.keys() != set(files):
            known = {path: seen for path, seen in self._seen.items() if path in files}
            self._seen = known | {path: _sign(path) for path in files if path not in known}
            self._wanted.set()

    async def run(self) -> None:
        """Runs until cancelled. Costs nothing while there is no file to watch."""
        while True:
            while not self._seen:
                await self._others_are_wanted()
            try:
                queue = Inotify()
            except OSError:
                await anyio.sleep(LOOK_AGAIN)
                self._look()
                continue
            with closing(queue):
                await self._follow(queue)

    async def _follow(self, queue: Inotify) -> None:
        while self._seen:
            folders = {
                os.path.dirname(each) for path in self._seen for each in (path, os.path.realpath(path))
            }
            for folder in folders:
                with suppress(OSError):
                    queue.add(folder)
            self._look()
            with anyio.move_on_after(LOOK_AGAIN):
                async with anyio.create_task_group() as tasks:

                    async def until(happens: Callable[[], object]) -> None:
                        await happens()  # type: ignore[misc]
                        tasks.cancel_scope.cancel()

                    tasks.start_soon(until, queue.wait)
                    tasks.start_soon(until, self._others_are_wanted)
                await anyio.sleep(GATHER)
            queue.read()

    async def _others_are_wanted(self) -> None:
        await self._wanted.wait()
        self._wanted = anyio.Event()

    def _look(self) -> None:
        for path, before in list(self._seen.items()):
            if (now := _sign(path)) != before:
                self._seen[path] = now
                self._changed(path)


def _sign(path: str) -> Signature:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
