"""Single files are watched, wherever they lie and whatever becomes of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.packages import file_watcher
from manifests.packages.file_watcher import FileWatcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not holds():
            await anyio.sleep(0.01)


@pytest.mark.parametrize("look_again", [3600.0, 0.05])
async def test_every_change_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_again: float
) -> None:
    """By the kernel, and where it tells nothing, by looking."""
    monkeypatch.setattr(file_watcher, "LOOK_AGAIN", look_again)
    told: list[str] = []
    watcher = FileWatcher(told.append)
    path, link = tmp_path / "a" / "secret", tmp_path / "link"
    path.parent.mkdir()
    link.symlink_to(path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await anyio.wait_all_tasks_blocked()
        watcher.set_files([str(path), str(link)])
        path.write_text("1")
        await until(lambda: {str(path), str(link)} <= set(told))
        for change in (
            lambda: path.write_text("22"),
            path.unlink,
            lambda: path.write_text("3"),
            lambda: os.replace(_new(path), path),
        ):
            told.clear()
            change()
            await until(lambda: str(path) in told)
        told.clear()
        (path.parent / "beside").write_text("x")
        watcher.set_files([str(link)])
        os.replace(_new(path), path)
        await until(lambda: str(link) in told)
        assert str(path) not in told
        watcher.set_files([])
        tasks.cancel_scope.cancel()


def _new(path: Path) -> Path:
    new = path.with_name(".new")
    new.write_text("4444")
    return new
