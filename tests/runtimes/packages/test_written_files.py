"""Which files are read and written by what runs meanwhile."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from runtimes.packages import written_files as module
from runtimes.packages.written_files import watching

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("read", "written", "left", "below/read", "apart/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def sh(folder: Path, script: str) -> None:
    subprocess.run(["sh", "-c", script], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("script", "read", "written"),
    [
        ("true", set(), set()),
        ("cat read below/read", {"read", "below/read"}, set()),
        ("ls . below; test -e left", set(), set()),
        ("cat apart/x; echo >> apart/x; echo > apart/y", set(), set()),
        ("echo >> written", {"written"}, {"written"}),
        ("echo > new", {"new"}, {"new"}),
        ("mkdir folder", set(), {"folder"}),
        ("rm left", set(), {"left"}),
        ("mv left right", set(), {"left", "right"}),
    ],
)
def test_what_happened_is_seen(folder: Path, script: str, read: set[str], written: set[str]) -> None:
    with watching(folder, ["apart"]) as seen:
        sh(folder, script)
    assert (seen.read, seen.written, seen.complete) == (read, written, True)


def test_what_happened_before_and_after_is_not(folder: Path) -> None:
    sh(folder, "cat read")
    with watching(folder, []) as seen:
        pass
    sh(folder, "cat read")
    assert not seen.read and seen.complete


def test_what_cannot_be_watched_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FOLDERS", 1)
    with watching(folder, []) as seen:
        sh(folder, "cat read")
    assert not seen.complete


def test_more_than_the_kernel_keeps_is_said(folder: Path) -> None:
    with watching(folder, []) as seen:
        # Two files by turns: the kernel joins what repeats itself.
        sh(folder, "for i in $(seq 20000); do : < read; : < left; done")
    assert not seen.complete
