"""Whole files, or the old ones."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from manifests.files import read_json, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_writes_and_replaces_with_a_private_mode(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"1")
    write_atomically(path, b"2", durable=False)
    assert path.read_bytes() == b"2"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["state.json"]


def test_the_mode_is_exact_whatever_the_umask(tmp_path: Path) -> None:
    write_atomically(tmp_path / "public", b"", mode=0o644)
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644


def test_a_full_disk_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"old")

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state.json"]


def test_missing_json_is_none_and_broken_json_says_which_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    assert read_json(path) is None
    path.write_text('{"a": [1]}')
    assert read_json(path) == {"a": [1]}
    for broken in (b"", b'{"a": [1', b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"value\.json is damaged"):
            read_json(path)
