"""Package folders, watched with all that is in them, so that an edited program runs anew.

watchfiles does the recursive part. It needs some care: a cancelled watch holds its thread back for seconds
unless it is told to stop first, and what changes before it begins is never reported, so every folder is
reported once whenever watching begins anew.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio

from manifests.model.ignored import is_ignored
from manifests.package import is_the_systems

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    #: Device and inode by root: the same path can lead to another folder later.
    Identities = Mapping[str, tuple[int, int]]

#: Milliseconds: how long changes that belong together are collected, how often the watching thread looks
#: for them (and whether it should stop), and how often it comes back without any.
DEBOUNCE = 200
STEP = 100
TIMEOUT = 1000
#: Seconds between two looks whether roots appeared, vanished or were replaced.
LOOK_AGAIN = 5.0
#: Seconds to wait for more new roots before watching begins anew.
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
            watched = identities(self._roots)
            stop = anyio.Event()
            async with anyio.create_task_group() as tasks:
                if watched:
                    tasks.start_soon(self._watch, watched, stop)
                try:
                    await self._until_others_are_wanted(watched)
                finally:
                    stop.set()

    async def _until_others_are_wanted(self, watched: Identities) -> None:
        while identities(self._roots) == watched:
            with anyio.move_on_after(LOOK_AGAIN):
                await self._wanted.wait()
                self._wanted = anyio.Event()
                await anyio.sleep(GATHER)

    async def _watch(self, watched: Identities, stop: anyio.Event) -> None:
        """Shielded: it ends by `stop`, within a step, because its thread cannot be cancelled."""
        from watchfiles import awatch

        changes = awatch(
            *watched,
            watch_filter=None,
            debounce=DEBOUNCE,
            step=STEP,
            rust_timeout=TIMEOUT,
            stop_event=stop,
            yield_on_timeout=True,
            recursive=True,
        )
        begun = False
        with anyio.CancelScope(shield=True):
            try:
                async for batch in changes:
                    # The first answer shows that watching has begun; before it, anything may have happened.
                    self._report(roots_of((path for _, path in batch), watched) if begun else set(watched))
                    begun = True
            except (OSError, RuntimeError):
                # A root vanished, or the kernel has no watch left: begin anew when something differs.
                self._report(set(watched))

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


def roots_of(paths: Iterable[str], roots: Collection[str]) -> set[str]:
    """The roots that have one of these paths among the files of their package."""
    found: set[str] = set()
    for path in paths:
        name = ""
        # Upwards, until a name that is no part of any package above it.
        while path not in {"/", ""} and not is_ignored(name):
            if path in roots:
                found.add(path)
            path, name = os.path.split(path)
    return found
