"""Removes folders, also those that a program made read-only for its own user."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def remove_folder(folder: Path) -> None:
    """No error when there is none. Raises OSError."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():
            raise
    except PermissionError:
        _open_up(folder)
        shutil.rmtree(folder)


def remove_tree(place: Path) -> None:
    """Removes a folder, a file or a link; no error when there is none. Raises OSError."""
    if place.is_dir() and not place.is_symlink():
        remove_folder(place)
    else:
        place.unlink(missing_ok=True)


def make_writable(folder: Path) -> None:
    """For its owner; root writes everywhere. Raises OSError."""
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IRWXU)


def _open_up(folder: Path) -> None:
    make_writable(folder)
    for path, names, _ in os.walk(folder):
        for name in names:
            below = folder / path / name
            if not below.is_symlink():
                make_writable(below)
