"""What nobody needs any more, on its way off the disk: out of its place at once, deleted when there is time.

A rename takes no time, while the files of one package can take a disk half a minute. What lies in the trash
is nobody's: no lock keeps it from anybody, and whatever a death left there goes with the next.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import anyio.from_thread
import anyio.to_thread

from runtimes.data.removal import remove_tree

if TYPE_CHECKING:
    from pathlib import Path


class Trash:
    """A folder on the same disk as what is thrown into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def throw(self, entry: Path) -> Path:
        """Returns where it is now. Raises OSError with the entry where it was."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return entry.rename(self._folder / f"{uuid.uuid4().hex[:8]}-{entry.name}")

    async def empty(self) -> None:
        """Cancelled, it leaves the rest for another time. Several may be at it. Raises OSError."""
        for entry in list(self._folder.iterdir()) if self._folder.is_dir() else ():
            await anyio.to_thread.run_sync(_delete, entry)


def _delete(entry: Path) -> None:
    """Folder by folder, from below: somebody may not want to wait for it."""
    anyio.from_thread.check_cancelled()
    remove_tree(entry, anyio.from_thread.check_cancelled)
