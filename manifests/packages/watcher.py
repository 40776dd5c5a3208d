"""Package folders, watched with all that is in them, so that an edited program runs anew.

What changes before a folder is watched is never reported, so every folder is reported once when watching
begins. A path may lead to another folder later, which nothing tells: so one looks, every few seconds.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import anyio

from manifests.packages.digests import is_the_systems
from manifests.packages.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    #: Device and inode by root: the same path can lead to another folder later.
    Identities = Mapping[str, tuple[int, int]]

#: Seconds between two looks whether roots appeared, vanished or were replaced.
LOOK_AGAIN = 5.0
#: Seconds to wait for more new roots before walking the first.
GATHER = 0.05


class PackageWatcher:
    """Calls `changed(root)` after each change of something within a root that is part of its package."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._roots: frozenset[str] = frozenset()
        self._wanted = anyio.Event()

    def set_roots(self, roots: Collection[str]) -> None:
        """Watches these folders, and no others. Those that do not exist are watched once they do."""
        wanted = frozenset(os.path.normpath(root) for root in roots)
        if wanted != self._roots:
            self._roots = wanted
            self._wanted.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                trees = Trees()
            except OSError:
                # The kernel has no queue left; until then packages are looked at in every resync.
                await anyio.sleep(LOOK_AGAIN)
                continue
            with closing(trees):
                await self._follow(trees)

    async def _follow(self, trees: Trees) -> None:
        watched: Identities = {}
        while True:
            watched = await self._watch(trees, watched)
            await self._until_there_is_something(trees)
            self._report(await trees.changes())

    async def _watch(self, trees: Trees, before: Identities) -> Identities:
        """Watches what is wanted now, and reports what is new."""
        watched = identities(self._roots)
        for root in before:
            if watched.get(root) != before[root]:
                trees.drop(root)
        new = {root for root in watched if watched[root] != before.get(root) or not trees.has(root)}
        for root in sorted(new):
            await trees.add(root)
        self._report(new)
        return watched

    async def _until_there_is_something(self, trees: Trees) -> None:
        """Changes, other roots, or time to look again."""
        with anyio.move_on_after(LOOK_AGAIN):
            async with anyio.create_task_group() as tasks:

                async def until(happens: Callable[[], Awaitable[None]]) -> None:
                    await happens()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(until, trees.wait)
                tasks.start_soon(until, self._others_are_wanted)

    async def _others_are_wanted(self) -> None:
        await self._wanted.wait()
        self._wanted = anyio.Event()
        await anyio.sleep(GATHER)

    def _report(self, roots: set[str]) -> None:
        for root in sorted(roots & self._roots):
            self._changed(root)


def identities(roots: Collection[str]) -> dict[str, tuple[int, int]]:
    """The roots that are folders now, and which folders those are; none that would take for ever to watch."""
    found = {}
    for root in roots:
        try:
            status = os.stat(os.path.join(root, "."))
            if is_the_systems(root):
                continue
        except OSError:
            continue
        found[root] = (status.st_dev, status.st_ino)
    return found
