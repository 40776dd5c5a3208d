"""Removes folders, also those that a program made read-only for its own user.

By descriptors (beneath.py): what a program puts in the place of a folder meanwhile is not gone into.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from runtimes.data.beneath import empty_beneath

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def remove_folder(folder: Path, going_on: Callable[[], None] = lambda: None) -> None:
    """No error when there is none. `going_on` is called now and then, and may raise. Raises OSError."""
    with suppress(FileNotFoundError):
        empty_beneath(folder, going_on)
        folder.rmdir()


def remove_tree(place: Path, going_on: Callable[[], None] = lambda: None) -> None:
    """Removes a folder, a file or a link; no error when there is none. Raises OSError."""
    if place.is_dir() and not place.is_symlink():
        remove_folder(place, going_on)
    else:
        place.unlink(missing_ok=True)


def make_writable(folder: Path) -> None:
    """For its owner; root writes everywhere. Raises OSError."""
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IRWXU)
