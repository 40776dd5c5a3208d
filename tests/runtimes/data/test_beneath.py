"""Folders are walked by descriptors: whatever a program makes of them meanwhile leads nobody out of them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from runtimes.data.beneath import used_beneath, walk_beneath

if TYPE_CHECKING:
    from pathlib import Path


def names(root: Path) -> set[str]:
    return {name for _, name, _ in walk_beneath(root)}


def test_all_entries_are_found_and_links_are_only_seen(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").touch()
    (root / "link").symlink_to(outside)
    assert names(root) == {"a", "b", "file", "link"}
    with pytest.raises(OSError):
        names(root / "link")
    with pytest.raises(FileNotFoundError):
        names(root / "none")


def test_a_tree_that_no_path_reaches_to_its_end_is_walked_with_few_descriptors(tmp_path: Path) -> None:
    depth = 3000
    here = os.open(tmp_path, os.O_RDONLY)
    for number in range(depth):
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        here = below
    os.close(here)
    before = len(os.listdir("/proc/self/fd"))
    found, most = set(), 0
    for _, name, _ in walk_beneath(tmp_path):
        found.add(name)
        if len(found) % 100 == 0:
            most = max(most, len(os.listdir("/proc/self/fd")))
    assert found == {"d" * 20, *(f"f{number}" for number in range(depth))}
    assert most - before < 50
    assert len(os.listdir("/proc/self/fd")) == before
    shutil.rmtree(tmp_path / "d", ignore_errors=True)
    _remove_deep(tmp_path, "d" * 20)


def _remove_deep(root: Path, name: str) -> None:
    """pytest could not: its paths are too long. Each step puts the lower half of the rest beside the root."""
    number = 0
    while (root / name).exists():
        deepest = root / name
        while (deepest / name).exists() and len(os.fspath(deepest)) < 2000:
            deepest /= name
        if (deepest / name).exists():
            number += 1
            (deepest / name).rename(root / f"part-{number}")
        shutil.rmtree(root / name)
        if (root / f"part-{number}").exists():
            (root / f"part-{number}").rename(root / name)


@pytest.mark.parametrize("swap", ["before it is opened", "while somebody is in it"])
def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path: Path, swap: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    root = tmp_path / "root"
    for number in range(50):
        (root / "a" / "/".join(f"d{each}" for each in range(number + 1))).mkdir(parents=True, exist_ok=True)
    found = []
    for _, name, _ in walk_beneath(root):
        found.append(name)
        if name == ("a" if swap == "before it is opened" else "d40"):
            (root / "a").rename(tmp_path / "moved")
            (root / "a").symlink_to(outside)
    assert "secret" not in found


def test_what_a_folder_takes_is_what_the_disk_holds_of_it_once(tmp_path: Path) -> None:
    assert used_beneath(tmp_path / "none") == 0
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    once = used_beneath(tmp_path)
    assert 100_000 <= once <= 110_000
    os.link(tmp_path / "one", tmp_path / "two")
    assert used_beneath(tmp_path) == once
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(2**40)
    assert used_beneath(tmp_path) <= once + 8192
    (tmp_path / "link").symlink_to("/usr")
    assert used_beneath(tmp_path) <= once + 16384
