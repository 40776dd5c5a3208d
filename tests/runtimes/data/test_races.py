"""A program changes its files while the node carries them on: nothing of anybody else's comes along."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes.data import carry, opening, retention
from runtimes.data.carry import put
from runtimes.data.inventory import Written, content
from runtimes.data.opening import (
    folder_beneath,
    make_folder_beneath,
    open_beneath,
    rename_beneath,
    unlink_beneath,
)
from runtimes.data.removal import remove_folder
from runtimes.data.retention import _link_all

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = b"the node's own"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of a package with `notes/a.txt` in it, and the node's folder of secrets beside it."""
    (tmp_path / "copy/notes").mkdir(parents=True)
    (tmp_path / "copy/notes/a.txt").write_bytes(b"mine")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/a.txt").write_bytes(SECRET)
    return tmp_path


def swap_folder(place: Path) -> None:
    (place / "copy/notes").rename(place / "copy/moved")
    (place / "copy/notes").symlink_to(place / "state")


def swap_file(place: Path) -> None:
    (place / "copy/notes/a.txt").unlink()
    (place / "copy/notes/a.txt").symlink_to(place / "state/a.txt")


@contextmanager
def flipping(place: Path) -> Iterator[None]:
    """All the time it is another: the folder, or a link to what is not the program's."""
    ended = threading.Event()
    real, link = place / "copy/real", place / "copy/link"
    (place / "copy/notes").rename(real)
    link.symlink_to(place / "state")

    def flip() -> None:
        here = place / "copy/notes"
        while not ended.is_set():
            for each in (real, link):
                each.rename(here)
                here.rename(each)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("step_by_step", [False, True])
@pytest.mark.parametrize("swap", [swap_folder, swap_file])
def test_a_link_that_takes_the_place_of_a_file_or_its_folder_is_left_out(
    place: Path, swap: object, step_by_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step_by_step:
        monkeypatch.setattr(opening, "_OPENAT2", 100_000)
    swap(place)  # type: ignore[operator]
    put(place / "copy/notes/a.txt", place / "carried", place / "copy", place / "new")
    _link_all(Written(place / "copy", {"notes/a.txt": ""}), place / "kept")
    for found in (place / "carried", place / "kept/notes/a.txt"):
        assert not found.exists() or found.is_symlink()


def test_a_race_for_the_folder_is_lost_by_whoever_runs_it(place: Path) -> None:
    came = set()
    with flipping(place):
        for number in range(3000):
            target = place / f"carried-{number}"
            put(place / "copy/notes/a.txt", target, place / "copy", place / "new")
            if target.exists():
                came.add(target.read_bytes())
                target.unlink()
    assert came == {b"mine"}


def test_the_race_is_won_where_paths_are_opened(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test before this one would find without its guard."""

    @contextmanager
    def by_path(root: Path, name: str) -> Iterator[int]:
        descriptor = os.open((root / name).parent, os.O_PATH)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    monkeypatch.setattr(carry, "folder_beneath", by_path)
    monkeypatch.setattr(retention, "folder_beneath", by_path)
    swap_folder(place)
    put(place / "copy/notes/a.txt", place / "carried", place / "copy", place / "new")
    assert (place / "carried").read_bytes() == SECRET
    _link_all(Written(place / "copy", {"notes/a.txt": ""}), place / "kept")
    assert (place / "kept/notes/a.txt").read_bytes() == SECRET


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.mknod(path, stat.S_IFSOCK | 0o600)])
def test_what_is_no_file_any_more_holds_nobody_up(place: Path, make: object) -> None:
    name = os.fspath(place / "copy/notes/a.txt")
    os.unlink(name)
    make(name)  # type: ignore[operator]
    put(Path(name), place / "carried", place / "copy", place / "new")
    assert not os.path.lexists(place / "carried")
    assert list(place.glob(".atek*")) == []
    if make is os.mkfifo:
        assert content(Path(name))


@pytest.mark.parametrize("step_by_step", [False, True])
@pytest.mark.parametrize("name", ["../state/a.txt", "notes/../../state/a.txt", "/etc/passwd", "out/a.txt"])
def test_nothing_outside_is_opened(
    place: Path, name: str, step_by_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step_by_step:
        monkeypatch.setattr(opening, "_OPENAT2", 100_000)
    (place / "copy/out").symlink_to("../state")
    with pytest.raises(OSError):
        os.close(open_beneath(place / "copy", name, os.O_RDONLY))
    with folder_beneath(place / "copy", "notes/a.txt") as folder:
        assert os.listdir(f"/proc/self/fd/{folder}") == ["a.txt"]
    # A folder itself may be a link: where its owner has put it.
    (place / "moved").symlink_to("copy")
    os.close(open_beneath(place / "moved", "notes/a.txt", os.O_RDONLY))


def _victim(place: Path) -> Path:
    """A folder of somebody else's, with one in it that is called as one in the copy is."""
    (place / "theirs/deep").mkdir(parents=True)
    (place / "theirs/deep/file").write_bytes(SECRET)
    (place / "copy/a/deep").mkdir(parents=True)
    (place / "copy/a/deep/file").write_bytes(b"mine")
    return place / "theirs/deep/file"


def swap_for_theirs(place: Path) -> None:
    (place / "copy/a").rename(place / "copy/b")
    (place / "copy/a").symlink_to(place / "theirs")


def test_what_is_deleted_is_in_the_folder(place: Path) -> None:
    """A program that has a folder of an old copy open can still change what is in it."""
    victim = _victim(place)
    ended = 0

    def meanwhile() -> None:
        nonlocal ended
        if (ended := ended + 1) == 2:
            swap_for_theirs(place)

    with suppress(OSError):
        remove_folder(place / "copy", meanwhile)
    assert victim.read_bytes() == SECRET and ended >= 2
    remove_folder(place / "copy")
    assert not (place / "copy").exists() and victim.exists()


def test_by_its_paths_it_would_not_be(place: Path) -> None:
    victim = _victim(place)
    for number, (folder, _, _) in enumerate(os.walk(place / "copy", topdown=False)):
        if number == 0:
            swap_for_theirs(place)
            shutil.rmtree(place / "copy/a/deep", ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    assert not victim.exists()


def test_a_deep_tree_and_one_that_was_closed_are_deleted(place: Path) -> None:
    here = os.open(place / "copy", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (place / "copy/closed/in").mkdir(parents=True)
    (place / "copy/closed/in").chmod(0)
    (place / "copy/closed").chmod(0o500)
    remove_folder(place / "copy")
    assert not (place / "copy").exists()


@pytest.mark.parametrize("act", ["unlink", "rename", "mkdir", "put"])
def test_what_is_done_in_a_copy_is_done_in_it(place: Path, act: str) -> None:
    """Its folder became a link while another instance of its service ran."""
    (place / "new").mkdir()
    (place / "new/notes").symlink_to(place / "state")
    with suppress(OSError):
        if act == "unlink":
            unlink_beneath(place / "new", "notes/a.txt")
        elif act == "rename":
            rename_beneath(place / "new", "notes/a.txt", "b.txt")
        elif act == "mkdir":
            make_folder_beneath(place / "new", "notes/folder")
        else:
            put(place / "copy/notes/a.txt", place / "new/notes/a.txt", place / "copy", place / "new")
    assert [each.name for each in (place / "state").iterdir()] == ["a.txt"]
    assert (place / "state/a.txt").read_bytes() == SECRET
