"""What is on disk after a death, a collection or a full disk; preparing itself is in test_preparation."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.base import RuntimeFailure
from runtimes.packages.store import PackageStore
from runtimes.packages.trees import About
from tests.runtimes.factories import clear, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio

#: A preparation or a collection that dies by SIGKILL at a named point.
DYING = """
import os, signal, sys
from pathlib import Path
import anyio
from runtimes.data import trash
from runtimes.packages import store as packages
from runtimes.packages.trees import About, Tree
from tests.runtimes.factories import clear, make_paths, service

home, point = Path(sys.argv[1]), sys.argv[2]
of = service(package=str(home / "source"))
store = packages.PackageStore(make_paths(home))

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

async def run(words):
    if point == "keeping":
        die()
    await anyio.run_process(words)

async def finish(copy):
    (copy / ".venv").mkdir()
    await store.tree(of, "key").keep(copy, About((".venv",)), run)
    if point == "finishing":
        die()
    return {"uses": ["tree-key"]}

async def main():
    if point == "copying":
        packages.copy_package = die
    await store.make_copy(of, print, finish)
    if point == "throwing":
        Tree.take_back = die
    if point == "purging":
        trash.remove_tree = die
    await clear(store, "app", [])

anyio.run(main)
"""


@pytest.fixture
def paths() -> Iterator[Paths]:
    home = make_home()
    (home / "source").mkdir()
    (home / "source/index.js").write_text("1")
    yield make_paths(home)
    shutil.rmtree(home)


def app(paths: Paths) -> Service:
    return service(package=str(paths.home / "source"))


async def complete(store: PackageStore, of: Service) -> list[str]:
    """Prepares to the end; returns what had to be installed."""
    installed: list[str] = []

    async def run(words: list[str]) -> None:
        await anyio.run_process(words)

    async def finish(copy: Path) -> dict[str, list[str]]:
        tree = store.tree(of, "key")
        if (about := tree.about()) is None:
            (copy / ".venv").mkdir()
            installed.append(tree.folder.name)
            await tree.keep(copy, About((".venv",)), run)
        else:
            await tree.lay(copy, about, run)
        return {"uses": [tree.folder.name]}

    await store.make_copy(of, lambda _: None, finish)
    return installed


@pytest.mark.parametrize("point", ["copying", "keeping", "finishing", "throwing", "purging"])
async def test_a_death_leaves_nothing_that_is_taken_for_finished(paths: Paths, point: str) -> None:
    words = [sys.executable, "-c", DYING, os.fspath(paths.home), point]
    done = await anyio.run_process(words, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store, of = PackageStore(paths), app(paths)
    with pytest.raises(RuntimeFailure, match="not prepared"):
        store.require(of)
    installed = await complete(store, of)
    # What was marked complete before the death is used again; half of something, or trash, is not.
    assert installed == ([] if point in ("finishing", "throwing") else ["tree-key"])
    assert (store.require(of) / "index.js").read_text() == "1"
    await clear(store, "app", [of])
    kept = {entry.name for entry in paths.packages("app").iterdir()}
    name = store.copy(of).name
    assert kept == {name, f".inventory-{name}", f".made-{name}", "tree-key"}, point


async def test_a_collection_ends_what_an_earlier_one_began(paths: Paths) -> None:
    store, of = PackageStore(paths), app(paths)
    await complete(store, of)
    left = paths.packages("app") / f".old-{store.copy(of).name}"
    (left / "deep").mkdir(parents=True)
    await clear(store, "app", [])
    assert not paths.packages("app").exists()


async def test_a_collection_leaves_other_services_alone(paths: Paths) -> None:
    store = PackageStore(paths)
    other = service("other", package=str(paths.home / "source"))
    await complete(store, app(paths))
    await complete(store, other)
    await clear(store, "app", [])
    assert store.require(other).is_dir()


async def test_what_cannot_be_deleted_is_told_as_a_failure(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, going_on: object) -> None:
        raise PermissionError(13, "Permission denied", os.fspath(folder))

    await complete(PackageStore(paths), app(paths))
    monkeypatch.setattr("runtimes.data.trash.remove_tree", refuse)
    with pytest.raises(RuntimeFailure, match="Permission denied"):
        await clear(PackageStore(paths), "app", [])


async def test_a_package_edited_while_it_is_copied_is_not_that_revision(paths: Paths) -> None:
    of = app(paths)
    (paths.home / "source/index.js").write_text("2")
    with pytest.raises(RuntimeFailure) as caught:
        await complete(PackageStore(paths), of)
    assert caught.value.reason == "PackageChanged" and not caught.value.permanent
    assert not PackageStore(paths).copy(of).exists()


async def test_what_failed_gives_its_space_back(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: Path, **_: object) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device", source)

    monkeypatch.setattr("runtimes.packages.copying.shutil.copy", full)
    with pytest.raises(RuntimeFailure) as caught:
        await complete(PackageStore(paths), app(paths))
    assert caught.value.reason == "DiskFull" and "no space left" in caught.value.message
    assert list(paths.packages("app").iterdir()) == []


async def test_a_copy_of_0_3_gets_its_inventory_while_its_package_is_as_it_was(paths: Paths) -> None:
    """It had no env in its name, and its program goes on writing in it until the next revision takes over."""
    store, of = PackageStore(paths), service(package=str(paths.home / "source"), env={"A": "1"})
    old = paths.packages("app") / store.copy(of).name[:16]
    shutil.copytree(paths.home / "source", old)
    (old / "db.sqlite3").write_text("accounts")
    await complete(store, of)
    (paths.home / "source/index.js").write_text("2")
    new = service(package=str(paths.home / "source"), env={"A": "1"})
    await complete(store, new)
    assert await store.populate(new, of)
    assert (store.require(new) / "index.js").read_text() == "2"
    assert (store.require(new) / "db.sqlite3").read_text() == "accounts"
    assert not await clear(store, "app", [new], new)
    assert not (paths.home / "kept").exists()


async def test_a_copy_that_another_runtime_installed_is_not_taken_for_prepared(paths: Paths) -> None:
    store, node = PackageStore(paths), app(paths)
    python = replace(node, runtime="python")
    await complete(store, node)
    with pytest.raises(RuntimeFailure, match="not prepared"):
        store.require(python)
    (store.require(node) / "db").write_text("accounts")
    await store.retain("app", [node], node)
    await complete(store, python)
    assert store.require(python) != store.require(node)
    assert not (store.require(python) / "db").exists()

    assert await store.populate(python, node)
    await store.retain("app", [python], python)
    await store.collect("app", [python])
    # It keeps its place, and what is in it, when the other is gone.
    assert (store.require(python) / "db").read_text() == "accounts"
    with pytest.raises(RuntimeFailure, match="not prepared"):
        store.require(node)


async def test_another_env_is_no_copy_of_0_3(paths: Paths) -> None:
    """What a program writes first after its env was changed is its own, and goes with the next edit."""
    store, plain = PackageStore(paths), app(paths)
    with_env = service(package=str(paths.home / "source"), env={"A": "b"})
    for of, holder in ((plain, None), (with_env, plain)):
        await complete(store, of)
        assert not await store.populate(of, holder)
        await store.retain("app", [of], of)
        await store.collect("app", [of])
    (store.require(with_env) / "db").write_text("accounts")
    (paths.home / "source/index.js").write_text("2")
    edited = service(package=str(paths.home / "source"), env={"A": "b"})
    await complete(store, edited)
    assert await store.populate(edited, with_env)
    assert (store.require(edited) / "db").read_text() == "accounts"
