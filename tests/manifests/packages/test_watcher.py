"""Watching package folders."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from manifests.packages import watcher as packages
from manifests.packages.watcher import PackageWatcher, identities, roots_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Heard:
    """What a watcher reported."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._event = anyio.Event()

    def __call__(self, root: str) -> None:
        self.counts[root] += 1
        self._event.set()

    async def of(self, *roots: Path) -> None:
        """Waits until each of these was reported, and forgets it."""
        with anyio.fail_after(10):
            while not all(self.counts[str(root)] for root in roots):
                self._event = anyio.Event()
                await self._event.wait()
        self.counts.clear()


@asynccontextmanager
async def running(heard: Heard, *roots: Path) -> AsyncIterator[PackageWatcher]:
    watcher = PackageWatcher(heard)
    watcher.set_roots([str(root) for root in roots])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        yield watcher
        tasks.cancel_scope.cancel()


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(packages, "LOOK_AGAIN", 0.1)
    for name in ("one", "two"):
        (tmp_path / name / "lib" / "deep").mkdir(parents=True)
    return tmp_path / "one", tmp_path / "two"


async def test_a_change_anywhere_in_a_package_is_reported(roots: tuple[Path, Path]) -> None:
    one, two = roots
    heard = Heard()
    async with running(heard, one, two):
        await heard.of(one, two)
        (one / "lib" / "deep" / "a.js").write_text("1")
        await heard.of(one)
        (two / "new").mkdir()
        await heard.of(two)
        (two / "new" / "b.js").write_text("1")
        await heard.of(two)


async def test_roots_can_change_at_run_time(roots: tuple[Path, Path]) -> None:
    one, two = roots
    heard = Heard()
    async with running(heard) as watcher:
        watcher.set_roots([str(one)])
        await heard.of(one)
        watcher.set_roots([str(two)])
        await heard.of(two)
        (one / "a").touch()
        (two / "a").touch()
        await heard.of(two)
        assert not heard.counts[str(one)]


async def test_a_root_that_is_replaced_is_watched_anew(roots: tuple[Path, Path]) -> None:
    one, two = roots
    heard = Heard()
    away = one.with_name("away")
    async with running(heard, one, away / "deep"):
        await heard.of(one)
        one.rename(away)
        two.rename(one)
        (away / "deep").mkdir()
        # Once this is known, so is all that was there before.
        await heard.of(away / "deep")
        heard.counts.clear()
        (one / "lib" / "a").touch()
        await heard.of(one)
        (away / "a").touch()
        (one / "b").touch()
        await heard.of(one)


async def test_a_root_that_appears_later(roots: tuple[Path, Path], tmp_path: Path) -> None:
    heard = Heard()
    async with running(heard, roots[0], tmp_path / "later"):
        await heard.of(roots[0])
        (tmp_path / "later").mkdir()
        await heard.of(tmp_path / "later")


async def test_a_root_that_is_emptied_and_filled_again(roots: tuple[Path, Path]) -> None:
    one, _ = roots
    heard = Heard()
    async with running(heard, one):
        await heard.of(one)
        shutil.rmtree(one)
        one.mkdir()
        await heard.of(one)
        with anyio.fail_after(10):
            while not heard.counts[str(one)]:
                (one / "a").touch()
                await anyio.sleep(0.05)


async def test_a_source_that_takes_long_to_walk_keeps_nobody_waiting(
    roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    walking, walked = threading.Event(), threading.Event()

    def watch(*_: object, stop_event: threading.Event, **__: object) -> Iterator[set[tuple[int, str]]]:
        walking.set()
        walked.wait(30)
        yield set()

    monkeypatch.setattr("watchfiles.watch", watch)
    heard = Heard()
    before = time.monotonic()
    async with running(heard, *roots) as watcher:
        await anyio.to_thread.run_sync(walking.wait)
        # Other roots are wanted meanwhile, and the node ends.
        watcher.set_roots([str(roots[0])])
        await anyio.sleep(0.2)
    walked.set()
    assert time.monotonic() - before < 20
    assert not heard.counts


async def test_what_cannot_be_watched_is_reported_once(
    roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(*_: object, **__: object) -> Iterator[set[tuple[int, str]]]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfiles.watch", watch)
    heard = Heard()
    async with running(heard, *roots):
        await heard.of(*roots)


async def test_cancelling_takes_no_longer_than_a_step(roots: tuple[Path, Path]) -> None:
    heard = Heard()
    async with running(heard, *roots):
        await heard.of(*roots)
        before = time.monotonic()
    assert time.monotonic() - before < 2


def test_what_the_system_shows_is_not_watched(tmp_path: Path) -> None:
    """Beginning to watch all of it takes minutes, in which the node does nothing else."""
    assert identities([str(tmp_path), "/", "/proc", "/sys"]).keys() == {str(tmp_path)}


def test_which_roots_a_path_belongs_to() -> None:
    roots = {"/a", "/a/b", "/a/node_modules/c", "/d~/e"}
    for path, expected in {
        "/a": {"/a"},
        "/a/x": {"/a"},
        "/a/b/x/y": {"/a", "/a/b"},
        "/a/b/node_modules/y": set(),
        "/a/node_modules/c/index.js": {"/a/node_modules/c"},
        "/a/b/.git/HEAD": set(),
        "/a/b/x~": set(),
        "/d~/e/x": {"/d~/e"},
        "/other": set(),
    }.items():
        assert roots_of(path, roots) == expected, path
