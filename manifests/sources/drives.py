"""Packages that came from other nodes: a folder for each version of a drive, fetched once, used by name.

    <folder>/<key>/<version>/         the content; existence means whole
    <folder>/<key>/<version>.json     what is in it, written once all of it is safe on the disk

A version is fetched beside its place and renamed into it. What a power cut may have left half written has no
list of its content, or does not fit it, and is fetched again.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from manifests.files import read_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from hyper.port import Drive, Hyper

_UNFINISHED = ".new-"
#: Packages of more files than this are made safe in a thread.
_FEW = 64


class DriveCache:
    """The fetched drives of one node, in `folder`; all its sources share one."""

    def __init__(self, hyper: Hyper, folder: Path) -> None:
        self._hyper = hyper
        self._folder = folder
        # Those known to be whole; those that were found to be damaged.
        self._whole: set[Drive] = set()
        self._damaged: set[Drive] = set()
        self._needs: dict[str, frozenset[Drive] | None] = {}
        self._fetching: dict[Drive, anyio.Lock] = {}

    def path(self, drive: Drive) -> Path:
        return self._folder / drive.key / str(drive.version)

    def find(self, drive: Drive) -> str | None:
        """The folder with that version's content, if it is here and whole."""
        folder = self.path(drive)
        if drive in self._whole and os.path.isdir(folder):
            return str(folder)
        self._whole.discard(drive)
        if not os.path.isdir(folder):
            return None
        if not _fits(folder, _list_of(folder)):
            self._damaged.add(drive)
            return None
        self._whole.add(drive)
        return str(folder)

    def was_damaged(self, drive: Drive) -> bool:
        """Whether it was here, and has to be fetched because something is missing."""
        return drive in self._damaged

    async def fetch(self, drive: Drive, *, timeout: float) -> None:
        """Returns once `find` finds it. Raises HyperError (TIMEOUT: no peer has it) or OSError."""
        lock = self._fetching.setdefault(drive, anyio.Lock())
        try:
            async with lock:
                if self.find(drive) is None:
                    await self._fetch(drive, timeout)
        finally:
            if not lock.statistics().tasks_waiting:
                self._fetching.pop(drive, None)

    async def secure(self, drive: Drive) -> None:
        """Makes what was fetched survive a power cut. Never raises: without that it is fetched again."""
        folder = self.path(drive)
        with suppress(OSError):
            if len(listed := list(_files(folder))) > _FEW:
                await anyio.to_thread.run_sync(_secure, folder, listed)
            else:
                _secure(folder, listed)

    # -- who needs what

    def claim(self, source: str) -> None:
        """This source will say what it needs; until then nothing is deleted."""
        self._needs[source] = None

    def need(self, source: str, drives: Collection[Drive]) -> None:
        """All that a source needs, from now on."""
        self._needs[source] = frozenset(drives)

    def release(self, source: str) -> None:
        """A source that is no more needs nothing."""
        self._needs.pop(source, None)

    async def collect(self, in_use: Collection[str] = ()) -> None:
        """Deletes what no source needs, except folders of these paths (what runs may run in place).

        Does nothing while a source has not read what it needs.
        """
        if unneeded := self._unneeded(in_use):
            await anyio.to_thread.run_sync(_remove, unneeded)

    def _unneeded(self, in_use: Collection[str]) -> list[Path]:
        kept = {self.path(drive) for drive in self._fetching}
        for needed in self._needs.values():
            if needed is None:
                return []
            kept.update(map(self.path, needed))
        unneeded = [path for path in self._places() if path not in kept and str(path) not in in_use]
        gone = set(unneeded)
        self._whole = {drive for drive in self._whole if self.path(drive) not in gone}
        return unneeded

    def _places(self) -> Iterator[Path]:
        """All versions that are here, and what an earlier life did not finish."""
        for key in self._folder.iterdir() if self._folder.is_dir() else ():
            unfinished = not any(drive.key == key.name for drive in self._fetching)
            for place in key.iterdir() if key.is_dir() else ():
                if place.name.isdecimal() or (unfinished and place.name.startswith(_UNFINISHED)):
                    yield place

    async def _fetch(self, drive: Drive, timeout: float) -> None:
        place = self.path(drive)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = tempfile.mkdtemp(prefix=_UNFINISHED, dir=place.parent)
        try:
            await self._hyper.get_drive(drive, unfinished, timeout=timeout)
            _remove([place])
            os.rename(unfinished, place)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self._whole.add(drive)
        self._damaged.discard(drive)


def _remove(places: Collection[Path]) -> None:
    for place in places:
        # The list first: a folder without one is not used.
        with suppress(OSError):
            place.with_suffix(".json").unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):
            place.parent.rmdir()


def _files(folder: Path) -> Iterator[tuple[str, list[Any]]]:
    """Relative path, and what a file or link is: its size or where it leads."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            yield os.path.relpath(path, folder), _seen(path)


def _seen(path: str) -> list[Any]:
    """Raises OSError when there is no such."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return ["link", os.readlink(path)]
    return ["file", found.st_size]


def _secure(folder: Path, listed: Collection[tuple[str, list[Any]]]) -> None:
    folders = {folder, folder.parent}
    for name, (kind, _) in listed:
        folders.add((folder / name).parent)
        if kind == "file":
            _sync(folder / name)
    for each in folders:
        _sync(each)
    write_atomically(folder.with_suffix(".json"), json.dumps(dict(listed)).encode())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _list_of(folder: Path) -> Mapping[str, Any] | None:
    try:
        listed = read_json(folder.with_suffix(".json"))
    except (OSError, ValueError):
        return None
    return listed if isinstance(listed, dict) else None


def _fits(folder: Path, listed: Mapping[str, Any] | None) -> bool:
    if listed is None:
        return False
    try:
        return all(_seen(os.path.join(folder, name)) == seen for name, seen in listed.items())
    except OSError:
        return False
