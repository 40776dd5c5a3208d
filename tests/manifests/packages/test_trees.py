"""Whole trees, watched: what comes, moves and goes in them, and what nobody wants to hear of."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.packages import trees as module
from manifests.packages.trees import Trees, roots_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "lib" / "deep").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def trees() -> Iterator[Trees]:
    with closing(Trees()) as made:
        yield made


def watches(trees: Trees) -> int:
    """How many the kernel keeps for it."""
    text = Path(f"/proc/self/fdinfo/{trees._inotify._descriptor}").read_text()
    return text.count("inotify wd:")


async def changed(trees: Trees) -> set[str]:
    with anyio.fail_after(10):
        await trees.wait()
        return await trees.changes()


async def test_what_is_written_anywhere_in_it(trees: Trees, root: Path) -> None:
    await trees.add(str(root))
    for name in ("a", "lib/a", "lib/deep/a"):
        (root / name).write_text("1")
        assert await changed(trees) == {str(root)}
    (root / "a").chmod(0o755)
    assert await changed(trees) == {str(root)}


async def test_folders_that_come_are_watched_with_all_that_they_bring(trees: Trees, root: Path) -> None:
    await trees.add(str(root))
    (root / "new" / "a" / "b").mkdir(parents=True)
    other = root.with_name("other")
    (other / "c").mkdir(parents=True)
    other.rename(root / "lib" / "other")
    assert await changed(trees) == {str(root)}
    for name in ("new/a/b/x", "lib/other/c/x"):
        (root / name).touch()
        assert await changed(trees) == {str(root)}


async def test_folders_that_go_cost_nothing(trees: Trees, root: Path) -> None:
    await trees.add(str(root))
    assert watches(trees) == 3
    away = root.with_name("away")
    (root / "lib").rename(away)
    assert await changed(trees) == {str(root)}
    assert watches(trees) == 1
    (away / "x").touch()
    away.rename(root / "again")
    await changed(trees)
    assert watches(trees) == 3
    shutil.rmtree(root / "again")
    await changed(trees)
    assert watches(trees) == 1


async def test_a_folder_that_moves_within_is_known_by_its_new_name(trees: Trees, root: Path) -> None:
    inner = root / "moved" / "deep"
    await trees.add(str(root))
    await trees.add(str(root / "lib" / "deep"))
    (root / "lib").rename(root / "moved")
    await changed(trees)
    (inner / "x").touch()
    assert await changed(trees) == {str(root)}


async def test_what_is_no_part_of_a_package_is_not_watched(trees: Trees, root: Path) -> None:
    for name in ("node_modules", ".git", "lib/.venv"):
        (root / name / "x").mkdir(parents=True)
    (root / "link").symlink_to("/usr")
    await trees.add(str(root))
    assert watches(trees) == 3
    (root / "lib" / "node_modules" / "x").mkdir(parents=True)
    (root / ".x.swp").touch()
    (root / "link").rename(root / "other")
    assert await changed(trees) == {str(root)}
    assert watches(trees) == 3
    (root / "lib" / "x~").touch()
    assert await changed(trees) == set()


async def test_a_root_within_another(trees: Trees, root: Path) -> None:
    inner = root / "node_modules" / "inner"
    inner.mkdir(parents=True)
    await trees.add(str(root))
    await trees.add(str(inner))
    await trees.add(str(root / "lib"))
    (root / "lib" / "x").touch()
    assert await changed(trees) == {str(root), str(root / "lib")}
    (inner / "x").touch()
    assert await changed(trees) == {str(inner)}
    trees.drop(str(root))
    (root / "x").touch()
    (inner / "y").touch()
    (root / "lib" / "y").touch()
    assert await changed(trees) == {str(inner), str(root / "lib")}
    trees.drop(str(root / "lib"))
    trees.drop(str(inner))
    assert watches(trees) == 0


async def test_one_folder_by_two_paths(trees: Trees, root: Path) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    await trees.add(str(root))
    await trees.add(str(link))
    (root / "lib" / "x").touch()
    assert await changed(trees) == {str(root), str(link)}
    trees.drop(str(root))
    (root / "lib" / "y").touch()
    assert await changed(trees) == {str(link)}


async def test_a_root_that_is_removed_is_not_had_any_more(trees: Trees, root: Path) -> None:
    await trees.add(str(root))
    assert trees.has(str(root))
    shutil.rmtree(root)
    # It has the same inode again on some file systems.
    root.mkdir()
    assert await changed(trees) == {str(root)}
    assert not trees.has(str(root))
    await trees.add(str(root))
    (root / "x").touch()
    assert await changed(trees) == {str(root)}


async def test_what_the_kernel_could_not_tell_may_be_anything(trees: Trees, root: Path) -> None:
    await trees.add(str(root))
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2 + 1):
        (root / "lib" / "x").touch()
        (root / "lib" / "x").unlink()
    # Nobody hears of these.
    (root / "lost" / "deep").mkdir(parents=True)
    (root / "lib" / "deep").rename(root.with_name("away"))
    (root / "lib" / "deep").mkdir()
    assert await changed(trees) == {str(root)}
    assert watches(trees) == 5
    (root / "lost" / "deep" / "x").touch()
    assert await changed(trees) == {str(root)}


async def test_the_loop_goes_on_while_a_tree_is_walked(
    trees: Trees, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    told: list[bool] = []

    def slowly(_: str) -> list[str]:
        begun.set()
        told.append(goes_on.wait(20))
        return []

    monkeypatch.setattr(module, "_folders", slowly)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trees.add, str(root))
        with anyio.fail_after(10):
            while not begun.is_set():
                await anyio.sleep(0.01)
        goes_on.set()
    assert told == [True]


async def test_who_gives_up_waits_for_one_folder_only(
    trees: Trees, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    begun, goes_on = threading.Event(), threading.Event()

    def endless(path: str) -> list[str]:
        seen.append(path)
        begun.set()
        goes_on.wait(20)
        return [path]

    monkeypatch.setattr(module, "_folders", endless)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trees.add, str(root))
            while not begun.is_set():
                await anyio.sleep(0.01)
            scope.cancel()
            goes_on.set()
    assert seen[0] == str(root)


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
