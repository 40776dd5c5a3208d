"""Watching package folders."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.sources import packages
from manifests.sources.packages import PackageWatcher, identities, roots_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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
    async with running(heard, one):
        await heard.of(one)
        one.rename(one.with_name("away"))
        two.rename(one)
        await heard.of(one)
        await anyio.sleep(1.5)
        heard.counts.clear()
        (one / "lib" / "a").touch()
        await heard.of(one)


async def test_a_root_that_appears_later(roots: tuple[Path, Path], tmp_path: Path) -> None:
    heard = Heard()
    async with running(heard, roots[0], tmp_path / "later"):
        await heard.of(roots[0])
        (tmp_path / "later").mkdir()
        await heard.of(tmp_path / "later")


async def test_cancelling_takes_no_longer_than_a_step(roots: tuple[Path, Path]) -> None:
    heard = Heard()
    async with running(heard, *roots):
        await heard.of(*roots)
        before = time.monotonic()
    assert time.monotonic() - before < 2


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
        assert roots_of([path], roots) == expected, path


def test_what_the_system_shows_is_not_watched(tmp_path: Path) -> None:
    """Beginning to watch all of it takes minutes, in which the node does nothing else."""
    assert identities([str(tmp_path), "/", "/proc", "/sys"]).keys() == {str(tmp_path)}
