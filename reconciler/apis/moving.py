"""What a service's id names in a node's home, and is worth keeping when the id changes.

Prepared packages are not: they contain their own path.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.apis.declare import holds_anything
from reconciler.releases import FILE as RELEASES
from reconciler.releases import Releases
from runtimes.docker.volume_names import move_note

if TYPE_CHECKING:
    from pathlib import Path

_FOLDERS = ("data", "logs")


def move_what_it_names(home: Path, old: str, new: str) -> None:
    """Does what is not done yet. Raises OSError."""
    Releases(home / RELEASES).rename(old, new)
    # Before the data folder that volumes belong to: without that one they would be nobody's.
    move_note(home, old, new)
    for folder in _FOLDERS:
        _move_folder(home / folder / old, home / folder / new)


def move_back(home: Path, old: str, new: str) -> None:
    with suppress(OSError):
        for folder in _FOLDERS:
            _move_folder(home / folder / new, home / folder / old)
        move_note(home, new, old)


def _move_folder(old: Path, new: Path) -> None:
    """Unless there is nothing to move, or something in the way that is worth keeping."""
    if not old.is_dir() or holds_anything(new):
        return
    if new.is_dir():
        shutil.rmtree(new)
    old.rename(new)
