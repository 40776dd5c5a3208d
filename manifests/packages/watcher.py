"""Package folders, watched with all that is in them, so that an edited program runs anew.

watchfiles does the recursive part. It needs some care: it walks all folders before it begins, which takes its
time with a large one, and comes back to see whether it is to stop only now and then. So it has a thread of
its own, and nobody waits for that; but it walks with Python's lock in its hand (1.3), 0.14 ms for a folder.
What changes before it begins is never reported, so each folder is reported once when watching begins anew.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

import anyio
from anyio import RunFinishedError, from_thread
from anyio.lowlevel import current_token

from manifests.model.ignored import is_ignored
from manifests.packages.digests import is_the_systems

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

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
        before: _Watch | None = None
        token = current_token()
        while True:
            watched = identities(self._roots)

            def report(roots: set[str]) -> None:
                with suppress(RunFinishedError):
                    from_thread.run_sync(self._report, roots, token=token)

            watch = before = _Watch(watched, report, before)
            try:
                await self._until_others_are_wanted(watched, watch)
            finally:
                watch.stop()

    async def _until_others_are_wanted(self, watched: Identities, watch: _Watch) -> None:
        while identities(self._roots) == watched and not watch.lost:
            with anyio.move_on_after(LOOK_AGAIN):
                await self._wanted.wait()
                self._wanted = anyio.Event()
                await anyio.sleep(GATHER)

    def _report(self, roots: set[str]) -> None:
        for root in sorted(roots & self._roots):
            self._changed(root)


class _Watch:
    """One watch of some roots, in a thread that ends soon after `stop`. Never two of them walk at once."""

    def __init__(
        self, watched: Identities, report: Callable[[set[str]], None], before: _Watch | None
    ) -> None:
        self._watched = watched
        self._tell = report
        self._before = before
        #: A root was removed. Another folder in its place may well have the same number.
        self.lost = False
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="packages", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nothing is reported any more, but for what is on its way."""
        self._stopped.set()

    def _run(self) -> None:
        if self._before is not None:
            self._before._thread.join()
            self._before = None
        if not self._watched or self._stopped.is_set():
            return
        try:
            self._follow()
        except (OSError, RuntimeError):
            # A root vanished, or the kernel has no watch left: begun anew when something differs.
            self._report(set(self._watched))

    def _follow(self) -> None:
        from watchfiles import Change, watch

        batches = watch(
            *self._watched,
            watch_filter=None,
            debounce=DEBOUNCE,
            step=STEP,
            rust_timeout=TIMEOUT,
            stop_event=self._stopped,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=True,
        )
        begun = False
        for batch in batches:
            # The first answer shows that watching has begun; before it, anything may have happened.
            found = (roots_of(path, self._watched) for _, path in batch)
            self._report(set().union(*found) if begun else set(self._watched))
            begun = True
            if any(change is Change.deleted and path in self._watched for change, path in batch):
                self.lost = True
                return

    def _report(self, roots: set[str]) -> None:
        if roots and not self._stopped.is_set():
            self._tell(roots)


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
