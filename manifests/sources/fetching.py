"""Fetches the drives that a source waits for, again and again until they are here.

Who has a drive may be away for days, and a drive that nobody has must not keep others waiting: the first
attempt is short, later ones are longer and rarer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from hyper.port import HyperError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from anyio.abc import TaskGroup

    from hyper.port import Drive
    from manifests.sources.drives import DriveCache

#: Drives that one source fetches at the same time.
AT_ONCE = 8
#: Seconds that the first attempt, and any attempt, may take; each takes twice as long as the one before.
FIRST, LONGEST = 5.0, 120.0
#: Seconds between two attempts: doubled each time.
AGAIN, SELDOM = 0.5, 15.0
#: While the daemon is away: it comes back soon.
AWAY = 0.5
#: What was just fetched is made safe on the disk after those who wait for it have begun.
SECURE_AFTER = 0.5


class Fetcher:
    """Runs for one source. `report` is told that a drive is here ("") or why it is not."""

    def __init__(self, cache: DriveCache, report: Callable[[Drive, str], None]) -> None:
        self._cache = cache
        self._report = report
        self._wanted: frozenset[Drive] = frozenset()
        self._scopes: dict[Drive, anyio.CancelScope] = {}
        self._changed = anyio.Event()
        self._hurry = anyio.Event()
        self._limit = anyio.Semaphore(AT_ONCE)

    def want(self, drives: Collection[Drive]) -> None:
        """These and no others."""
        if self._wanted != drives:
            self._wanted = frozenset(drives)
            self._changed.set()

    def hurry(self) -> None:
        """A peer came: whatever waits for its next attempt begins it now."""
        hurry, self._hurry = self._hurry, anyio.Event()
        hurry.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._adjust(tasks)
                await self._changed.wait()
                self._changed = anyio.Event()

    def _adjust(self, tasks: TaskGroup) -> None:
        for drive in self._scopes.keys() - self._wanted:
            self._scopes.pop(drive).cancel()
        for drive in sorted(self._wanted - self._scopes.keys(), key=lambda each: (each.key, each.version)):
            self._scopes[drive] = scope = anyio.CancelScope()
            tasks.start_soon(self._bring, drive, scope)

    async def _bring(self, drive: Drive, scope: anyio.CancelScope) -> None:
        attempt, pause = FIRST, AGAIN
        with scope:
            while (why := await self._try(drive, attempt)) is not None:
                if why:
                    self._report(drive, why)
                    attempt, pause = min(2 * attempt, LONGEST), min(2 * pause, SELDOM)
                hurry = self._hurry
                with anyio.move_on_after(pause if why else AWAY):
                    await hurry.wait()
            self._report(drive, "")
        if not scope.cancelled_caught:
            await anyio.sleep(SECURE_AFTER)
            await self._cache.secure(drive)

    async def _try(self, drive: Drive, seconds: float) -> str | None:
        """None once it is here; else why not, empty while there is nobody to ask."""
        async with self._limit:
            try:
                await self._cache.fetch(drive, timeout=seconds)
            except HyperError as error:
                return "" if error.code == "AWAY" else str(error)
            except OSError as error:
                return f"{error.strerror or error}"
        return None
