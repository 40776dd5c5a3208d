"""Files in memory: for one instance, for one user, and gone afterwards."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runtimes import memory_files
from runtimes.base import RuntimeFailure, SecretFile
from runtimes.memory_files import MemoryFiles


def test_they_are_in_memory_and_its_owner_s(tmp_path: Path) -> None:
    files = MemoryFiles(tmp_path, "tests")
    where = files.write("one", [SecretFile("A", b"x"), SecretFile("B", b"y", mode=0o440)], 0o400)
    try:
        a, b = Path(where["A"]), Path(where["B"])
        assert (a.read_bytes(), b.read_bytes()) == (b"x", b"y")
        assert [stat.S_IMODE(each.stat().st_mode) for each in (a, b, a.parent)] == [0o400, 0o440, 0o700]
        assert os.stat(a).st_dev != os.stat(tmp_path).st_dev
        files.write("two", [SecretFile("A", b"z")], 0o400)
        files.prune({"two"})
        assert not a.parent.exists() and (a.parent.parent / "two").exists()
        # What an instance of this name left is not added to.
        assert list(files.write("two", [SecretFile("C", b"z")], 0o400)) == ["C"]
        assert [each.name for each in (a.parent.parent / "two").iterdir()] == ["C"]
    finally:
        files.prune(())
    assert not a.parent.parent.parent.exists()
    files.remove("nothing")
    assert files.write("none", [], 0o400) == {}


def test_without_any_memory_they_are_on_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "_kinds_of_mounts", lambda: {"/": "ext4"})
    files = MemoryFiles(tmp_path, "tests")
    with pytest.raises(RuntimeFailure, match="no folder in memory"):
        files.write("one", [SecretFile("A", b"x")], 0o400)
    files.remove("one")
    files.prune(())


def test_somebody_else_s_folder_is_not_taken(tmp_path: Path) -> None:
    files = MemoryFiles(tmp_path, "tests")
    root = files._root
    assert root is not None
    root.parent.symlink_to(tmp_path)
    try:
        with pytest.raises(RuntimeFailure, match="belongs to someone else"):
            files.write("one", [SecretFile("A", b"x")], 0o400)
    finally:
        root.parent.unlink()
