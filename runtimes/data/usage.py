"""How much of the disk the data folders have, and how much is left on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio.to_thread

from runtimes.data.beneath import used_beneath

if TYPE_CHECKING:
    from runtimes.paths import Paths


class DataUsage:
    """Implements `reconciler.drive.limits.Disk` for the folders of one home."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    async def used(self, service_id: str) -> int:
        """Raises OSError."""
        return await anyio.to_thread.run_sync(used_beneath, self._paths.data(service_id))

    def free(self) -> int:
        """Raises OSError."""
        found = os.statvfs(self._paths.home)
        return found.f_bfree * found.f_frsize
