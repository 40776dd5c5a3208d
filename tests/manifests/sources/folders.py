"""What the tests of watched folders share."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from manifests.sources.folder import SETTLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from manifests.model.snapshot import Declared, Snapshot, Source


def manifest(service: str, **env: object) -> str:
    variables = "".join(f"  {key}: {value}\n" for key, value in env.items())
    return f"id: {service}\nsource: ./{service}\n" + (f"env:\n{variables}" if variables else "")


def write(path: Path, text: str) -> Path:
    """A file that was written some time ago."""
    path.write_text(text)
    age(path)
    return path


def age(path: Path) -> None:
    long_ago = time.time() - 10 * SETTLE
    os.utime(path, (long_ago, long_ago))


def ids(snapshot: Snapshot) -> list[str]:
    return [declared.manifest.id for declared in snapshot.services]


def find(snapshot: Snapshot, service: str) -> Declared:
    return next(declared for declared in snapshot.services if declared.manifest.id == service)


def problems(snapshot: Snapshot) -> str:
    return "\n".join(str(problem) for problem in snapshot.problems)


class Watched:
    """A source that is being watched."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.changes = 0
        self._event = anyio.Event()

    @property
    def snapshot(self) -> Snapshot:
        return self.source.snapshot

    def changed(self) -> None:
        self.changes += 1
        self._event.set()

    async def until(self, condition: Callable[[Snapshot], bool], seconds: float = 10) -> Snapshot:
        """Waits for announced changes until the condition holds."""
        with anyio.move_on_after(seconds):
            while not condition(self.source.snapshot):
                self._event = anyio.Event()
                await self._event.wait()
        assert condition(self.source.snapshot), f"{ids(self.snapshot)} {problems(self.snapshot)}"
        return self.source.snapshot

    async def stays(self, condition: Callable[[Snapshot], bool], seconds: float) -> None:
        """Asserts that the condition holds all the time."""
        end = anyio.current_time() + seconds
        while anyio.current_time() < end:
            assert condition(self.source.snapshot), f"{ids(self.snapshot)} {problems(self.snapshot)}"
            await anyio.sleep(0.005)


@asynccontextmanager
async def watching(source: Source) -> AsyncIterator[Watched]:
    """Scans first, as a node does."""
    watched = Watched(source)
    await source.scan()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.watch, watched.changed)
        await anyio.wait_all_tasks_blocked()
        yield watched
        tasks.cancel_scope.cancel()
