"""Copies of one service's package, as a node prepares them, and what is kept for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtimes.data.inventory import author_files, take_inventory
from runtimes.data.retention import Copy, retain

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Packages:
    """One service's copies and what is kept for it."""

    folder: Path
    kept: Path

    def prepare(self, name: str, files: dict[str, str], built: dict[str, str] | None = None) -> Copy:
        copy = Copy(self.folder / name)
        write(copy.place, files)
        authored = author_files(copy.place)
        write(copy.place, built or {})
        take_inventory(copy.place, authored)
        return copy

    def hold(self, copy: Copy) -> Copy:
        """It became healthy, and was the last to be swept for."""
        assert retain(self.kept, [], copy) == []
        return copy


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {
        os.fspath(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
