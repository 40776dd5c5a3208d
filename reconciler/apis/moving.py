"""What a service's id names in a node's home, and is worth keeping when the id changes.

Prepared packages are not: they contain their own path. But what a program wrote in its own waits for it under
the new id.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.apis.declare import holds_anything
from reconciler.state.images import FILE as IMAGES
from reconciler.state.images import ImagePins
from reconciler.state.releases import FILE as RELEASES
from reconciler.state.releases import Releases
from reconciler.state.store import FileStore
from reconciler.state.updates import FILE as UPDATES
from reconciler.state.updates import UpdatesFile
from runtimes.data.removal import remove_tree
from runtimes.docker.volume_names import move_note
from runtimes.packages.store import PackageStore
from runtimes.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path

_FOLDERS = ("data", "logs", "kept")


def move_what_it_names(home: Path, old: str, new: str) -> None:
    """Does what is not done yet. Raises OSError."""
    Releases(home / RELEASES).rename(old, new)
    ImagePins(home / IMAGES).rename(old, new)
    UpdatesFile(home / UPDATES).rename(old, new)
    # Before the data folder that volumes belong to: without that one they would be nobody's.
    move_note(home, old, new)
    for folder in _FOLDERS:
        _move_folder(home / folder / old, home / folder / new)
    _hand_over_written(home, old, new)


def _hand_over_written(home: Path, old: str, new: str) -> None:
    """Its copies go at once, or the next service of the old id would begin with the same."""
    memories, _ = FileStore(home / "state" / "services").load()
    memory = memories.get(old)
    if memory is not None and memory.healthy is not None:
        PackageStore(Paths(home, home / "run", 0)).hand_over(memory.healthy, new)
        remove_tree(home / "packages" / old)


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
