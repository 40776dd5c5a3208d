"""Packages that came from other nodes: a folder for each version of a drive, fetched once, used by name.

    <folder>/<key>/<version>/         the content; existence means whole
    <folder>/<key>/<version>.json     what is in it, written once all of it is safe on the disk

A version is fetched beside its place and renamed into it. What a power cut may have left half written has no
list of its content, or does not fit it, and is fetched again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from hyper.port import Hyper


class DriveCache:
    """The fetched drives of one node, in `folder`; all its sources share one."""

    def __init__(self, hyper: Hyper, folder: Path) -> None:
        raise NotImplementedError

    async def collect(self, in_use: Collection[str] = ()) -> None:
        """Deletes what no source needs, except folders of these paths (what runs may run in place).

        Does nothing while a source has not read what it needs.
        """
        raise NotImplementedError

    def release(self, source: str) -> None:
        """A source that is no more needs nothing."""
        raise NotImplementedError
