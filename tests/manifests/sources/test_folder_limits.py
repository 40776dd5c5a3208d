"""A watched folder when the kernel, the number of files or the reader are not as usual."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests import inotify
from manifests.model.merge import merge
from manifests.sources import watcher
from manifests.sources.folder import FolderSource
from manifests.sources.last_good import LastGood
from tests.manifests.sources.folders import find, ids, manifest, watching, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifests").mkdir()
    return tmp_path / "manifests"


async def test_without_inotify_the_folder_is_listed_every_now_and_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(watcher, "Inotify", no_more)
    monkeypatch.setattr(watcher, "POLL", 0.05)
    write(folder / "a.yaml", manifest("a"))
    async with watching(FolderSource(folder, "home")) as watched:
        (folder / "b.yaml").write_text(manifest("b"))
        after = await watched.until(lambda snapshot: ids(snapshot) == ["a", "b"])
        assert not after.problems
        (folder / "a.yaml").unlink()
        await watched.until(lambda snapshot: ids(snapshot) == ["b"])


async def test_when_the_kernel_has_no_watch_left_the_folder_is_listed_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify.Inotify, "add", no_more)
    monkeypatch.setattr(watcher, "POLL", 0.05)
    async with watching(FolderSource(folder, "home")) as watched:
        (folder / "b.yaml").write_text(manifest("b"))
        await watched.until(lambda snapshot: ids(snapshot) == ["b"])


async def test_when_events_were_lost_everything_is_listed(folder: Path) -> None:
    """More files at once than the kernel's queue holds, while the loop does not listen."""
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        limit = int(file.read())
    async with watching(FolderSource(folder, "home")) as watched:
        for _ in range(limit // 2):
            (folder / "noise").touch()
            (folder / "noise").unlink()
        (folder / "a.yaml").write_text(manifest("a"))
        await watched.until(lambda snapshot: ids(snapshot) == ["a"])


async def test_duplicate_ids_in_a_folder_are_for_the_merge_to_report(folder: Path) -> None:
    write(folder / "b.yaml", manifest("a"))
    write(folder / "a.yaml", manifest("a"))
    source = FolderSource(folder, "home")
    await source.scan()
    merged = merge([source.snapshot])
    assert merged.services["a"].declared.file == str(folder / "a.yaml")
    (conflict,) = merged.conflicts["home"]
    assert (conflict.file, conflict.winner_file) == (str(folder / "b.yaml"), str(folder / "a.yaml"))


async def test_ten_thousand_files_leave_the_loop_alive(folder: Path, tmp_path: Path) -> None:
    for number in range(10_000):
        (folder / f"s{number:05}.yaml").write_text(manifest(f"s{number}"))
    source = FolderSource(folder, "home", LastGood(tmp_path / "snapshots", "home"))
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await anyio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        await source.scan()
        assert len(source.snapshot.services) == 10_000
        tasks.cancel_scope.cancel()
    assert longest < 5
    async with watching(source) as watched:
        (folder / "s05000.yaml").write_text(manifest("s5000", N=1))
        after = await watched.until(lambda snapshot: find(snapshot, "s5000").manifest.env == {"N": "1"})
        assert len(after.services) == 10_000


async def test_cancelling_a_watch_leaves_no_descriptor(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        async with watching(FolderSource(folder, "home")):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
