"""What a node remembers of its manifests from one life to the next."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.files import write_atomically
from manifests.sources import folder as folder_module
from manifests.sources import last_good as lastgood
from manifests.sources.folder import FolderSource
from manifests.sources.last_good import LastGood
from tests.manifests.sources.folders import find, ids, manifest, problems, watching, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifests").mkdir()
    return tmp_path / "manifests"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(folder_module, "KEEP", 0.01)
    monkeypatch.setattr(folder_module, "KEEP_AGAIN", 0.05)
    return tmp_path / "snapshots"


def texts(state: Path) -> dict[str, str]:
    return {name: kept.text for name, kept in LastGood(state, "home").load_all().items()}


async def written(state: Path, wanted: dict[str, str]) -> None:
    """Waits for these texts, and no others, to be kept."""
    with anyio.fail_after(60):
        while texts(state) != wanted:
            await anyio.sleep(0.005)


async def one_life(folder: Path, state: Path) -> None:
    """A node that runs long enough to have written everything."""
    last_good = LastGood(state, "home")
    await FolderSource(folder, "home", last_good).scan()
    while last_good.pending:
        last_good.write()
    assert last_good.problems == ()


async def new_life(folder: Path, state: Path) -> FolderSource:
    source = FolderSource(folder, "home", LastGood(state, "home"))
    await source.scan()
    return source


def test_records_are_private_and_come_back(tmp_path: Path) -> None:
    kept = LastGood(tmp_path / "state", "my folder/x")
    kept.keep("a.yaml", "text ü \ud800", 7)
    kept.keep("ä b.yaml", "", 8, {"/x/.env": "A=1", "/x/none": None})
    assert not kept.write()
    (folder,) = (tmp_path / "state").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    again = LastGood(tmp_path / "state", "my folder/x")
    assert again.load("a.yaml") == ("text ü \ud800", 7, None)
    beside = {"/x/.env": "A=1", "/x/none": None}
    assert again.load_all() == {"a.yaml": ("text ü \ud800", 7, None), "ä b.yaml": ("", 8, beside)}
    assert again.load("b.yaml") is None and again.problems == ()
    assert LastGood(tmp_path / "state", "other").load_all() == {}


async def test_texts_are_written_behind_the_announcement(folder: Path, state: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    async with watching(FolderSource(folder, "home", LastGood(state, "home"))) as watched:
        (folder / "b.yaml").write_text(manifest("b"))
        await watched.until(lambda snapshot: ids(snapshot) == ["a", "b"])
        await written(state, {"a.yaml": manifest("a"), "b.yaml": manifest("b")})
        (folder / "b.yaml").write_text("broken")
        (folder / "a.yaml").unlink()
        await watched.until(lambda snapshot: ids(snapshot) == ["b"])
        await written(state, {"b.yaml": manifest("b")})


async def test_unchanged_texts_are_not_written_again(folder: Path, state: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    await one_life(folder, state)
    (record,) = state.glob("*/*.json")
    before = record.stat()
    await one_life(folder, state)
    assert (record.stat().st_ino, record.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_a_node_that_boots_without_the_folder_runs_what_was_last_good(
    folder: Path, state: Path
) -> None:
    write(folder / "a.yaml", manifest("a", N=1))
    await one_life(folder, state)
    folder.rename(folder.with_name("away"))
    async with watching(FolderSource(folder, "home", LastGood(state, "home"))) as watched:
        assert watched.snapshot.known and ids(watched.snapshot) == ["a"]
        assert "is gone" in problems(watched.snapshot)
        before = watched.snapshot
        folder.with_name("away").rename(folder)
        after = await watched.until(lambda snapshot: not snapshot.problems)
        assert after.services[0] is before.services[0]


async def test_a_node_that_boots_with_a_broken_file_runs_what_was_last_good(
    folder: Path, state: Path
) -> None:
    write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    await one_life(folder, state)
    write(folder / "a.yaml", "id: [")
    source = await new_life(folder, state)
    assert ids(source.snapshot) == ["a", "b"]
    assert "a.yaml:2: this is not valid YAML" in problems(source.snapshot)


async def test_a_file_deleted_while_no_node_ran_is_deleted(folder: Path, state: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    await one_life(folder, state)
    (folder / "a.yaml").unlink()
    assert ids((await new_life(folder, state)).snapshot) == ["b"]
    await one_life(folder, state)
    assert set(texts(state)) == {"b.yaml"}
    (folder / "b.yaml").unlink()
    assert ids((await new_life(folder, state)).snapshot) == []


async def test_a_single_file_that_is_gone_at_boot_is_missed(folder: Path, state: Path) -> None:
    path = write(folder / "a.yaml", manifest("a"))
    await one_life(path, state)
    path.unlink()
    source = await new_life(path, state)
    await source.scan()
    assert ids(source.snapshot) == ["a"] and source.snapshot.known
    assert "there is no file" in problems(source.snapshot)


@pytest.mark.parametrize("damage", ["", "{", '{"file": "a.yaml"}', "[1]", "null", "changed", "\x00"])
async def test_a_damaged_record_is_told_ignored_and_replaced(folder: Path, state: Path, damage: str) -> None:
    write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    await one_life(folder, state)
    record = next(path for path in state.glob("*/*.json") if path.name.startswith("a"))
    record.write_text(record.read_text().replace("id: a", "id: x") if damage == "changed" else damage)
    write(folder / "a.yaml", "id: [")
    source = await new_life(folder, state)
    assert ids(source.snapshot) == ["b"]
    assert ("is damaged" in problems(source.snapshot)) == (damage != "null")
    write(folder / "a.yaml", manifest("a"))
    await one_life(folder, state)
    assert set(texts(state)) == {"a.yaml", "b.yaml"}


async def test_truncated_records_of_a_folder_that_is_gone(folder: Path, state: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    await one_life(folder, state)
    shutil.rmtree(folder)
    record = min(state.glob("*/*.json"))
    record.write_bytes(record.read_bytes()[:-10])
    source = await new_life(folder, state)
    assert ids(source.snapshot) == ["b"]
    assert "is damaged" in problems(source.snapshot) and "is gone" in problems(source.snapshot)


async def test_a_folder_that_is_empty_because_it_is_not_mounted(folder: Path, state: Path) -> None:
    """Simulated by another number of its disk."""
    write(folder / "a.yaml", manifest("a"))
    await one_life(folder, state)
    (folder / "a.yaml").unlink()
    last_good = LastGood(state, "home")
    kept = last_good.load_all()["a.yaml"]
    last_good.keep("a.yaml", kept.text, kept.device + 1)
    last_good.write()
    source = await new_life(folder, state)
    assert ids(source.snapshot) == ["a"]
    assert "on another disk" in problems(source.snapshot)


class Disk:
    """A small file system where one may be mounted, otherwise a pretence of one."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.mkdir()
        self._monkeypatch = monkeypatch
        self._path = path
        self._mounted = os.geteuid() == 0 and _run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path)

    def fill(self) -> None:
        if not self._mounted:
            self._monkeypatch.setattr(lastgood, "write_atomically", _no_space)
            return
        with (
            pytest.raises(OSError, match="No space left"),
            (self._path / "ballast").open("wb", buffering=0) as ballast,
        ):
            while True:
                ballast.write(b"x" * 4096)

    def free(self) -> None:
        if self._mounted:
            (self._path / "ballast").unlink()
        else:
            self._monkeypatch.setattr(lastgood, "write_atomically", write_atomically)

    def close(self) -> None:
        if self._mounted:
            assert _run("umount", self._path)


def _run(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def disk(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    small = Disk(state, monkeypatch)
    yield small
    small.close()


async def test_a_full_disk_is_a_problem_that_stops_nothing(folder: Path, state: Path, disk: Disk) -> None:
    write(folder / "a.yaml", manifest("a"))
    disk.fill()
    async with watching(FolderSource(folder, "home", LastGood(state, "home"))) as watched:
        after = await watched.until(lambda snapshot: "No space left" in problems(snapshot))
        assert ids(after) == ["a"]
        (folder / "a.yaml").write_text(manifest("a", N=1))
        await watched.until(lambda snapshot: find(snapshot, "a").manifest.env == {"N": "1"})
        disk.free()
        await watched.until(lambda snapshot: not snapshot.problems)
        assert texts(state) == {"a.yaml": manifest("a", N=1)}
