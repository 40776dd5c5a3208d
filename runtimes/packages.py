"""Prepared packages on disk: a copy per revision of the content, and dependencies shared between copies.

    packages/<id>/<content digest>/     the package's files; existence means prepared. With an env, which a
                                        build may read, its digest is in the name too
    packages/<id>/deps-<key>/           what npm or uv installed, named by what it depends on. Copies have
                                        clones of it

A copy is made beside its place and renamed into it at the end; dependencies are marked complete at the
end. So whatever the moment of a crash, nothing half made is taken for finished, and what a running revision
uses is never written to again.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.package import Digests, package_files
from manifests.service import digest
from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.tools import disk_full

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator

    from manifests.service import Service
    from runtimes.base import Progress
    from runtimes.paths import Paths

_COMPLETE = ".atek-complete"
_DEPENDENCIES = "deps-"
#: In what was cloned out of a dependency folder: its name.
NOTED = ".atek-deps"
_UNFINISHED = ".new-"
_TRASH = ".old-"


class PackageStore:
    """The prepared packages of all services of one node."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def copy(self, service: Service) -> Path:
        """Where the prepared copy of this revision's content is, once it is there."""
        assert service.package is not None
        env = service.manifest.env
        name = f"{service.package.digest}-{digest(env)}" if env else service.package.digest
        return self.paths.packages(service.id) / name

    def require(self, service: Service) -> Path:
        """The prepared copy. Raises RuntimeFailure when there is none."""
        copy = self.copy(service)
        if not copy.is_dir():
            raise RuntimeFailure("NotPrepared", f"revision {service.revision} is not prepared")
        return copy

    async def make_copy(
        self, service: Service, progress: Progress, finish: Callable[[Path], Awaitable[None]]
    ) -> None:
        """Copies the package, lets `finish` complete it, and puts it into its place."""
        assert service.package is not None
        place = self.copy(service)
        if place.is_dir():
            return
        unfinished = place.with_name(f"{_UNFINISHED}{place.name}")
        with _explained(service.id):
            progress("copying the package")
            async with _whole_or_gone(unfinished):
                await anyio.to_thread.run_sync(_copy, Path(service.package.path), unfinished)
                await anyio.to_thread.run_sync(_require_content, unfinished, service)
                await finish(unfinished)
                unfinished.rename(place)

    async def make_dependencies(
        self, service: Service, key: str, install: Callable[[Path], Awaitable[None]]
    ) -> Path:
        """The folder with the dependencies of that key; installs them when they are not there."""
        folder = self.paths.packages(service.id) / f"{_DEPENDENCIES}{key}"
        if (folder / _COMPLETE).exists():
            return folder
        with _explained(service.id):
            await anyio.to_thread.run_sync(remove_tree, folder)
            async with _whole_or_gone(folder):
                folder.mkdir(mode=0o700, parents=True)
                await install(folder)
                (folder / _COMPLETE).touch()
        return folder

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Takes what no kept revision needs out of its place at once, and deletes it."""
        folder = self.paths.packages(service_id)
        if not folder.is_dir():
            return
        with _explained(service_id):
            copies = [self.copy(one) for one in keep if one.package is not None]
            # Without the env is how 0.3 named what may be running still.
            await self._collect(folder, [*copies, *(copy.with_name(copy.name[:16]) for copy in copies)])

    async def _collect(self, folder: Path, kept: Collection[Path]) -> None:
        needed = {copy.name for copy in kept} | {name for copy in kept for name in _dependencies(copy)}
        unneeded = [entry for entry in folder.iterdir() if entry.name not in needed]
        # Copies first: one without its dependencies would be taken for prepared.
        for entry in sorted(unneeded, key=lambda entry: entry.name.startswith(_DEPENDENCIES)):
            if os.path.lexists(entry):
                trash = entry.with_name(f"{_TRASH}{entry.name.removeprefix(_TRASH)}")
                if trash != entry:
                    # A collection that was killed may have left one of this name.
                    await anyio.to_thread.run_sync(remove_tree, trash)
                    entry.rename(trash)
                await anyio.to_thread.run_sync(remove_tree, trash)
        if not kept and not any(folder.iterdir()):
            folder.rmdir()


@asynccontextmanager
async def _whole_or_gone(folder: Path) -> AsyncIterator[None]:
    """What failed gives its space back: the disk may be full, and the node has more to write."""
    try:
        yield
    except (OSError, RuntimeFailure):
        await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
        raise


@contextmanager
def _explained(service_id: str) -> Iterator[None]:
    """Translates what the file system says about a package of this service."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(service_id) from error
        raise RuntimeFailure(
            "PrepareFailed",
            f"the package of {service_id} cannot be kept: {error.strerror or error}: {error.filename or ''}",
        ) from error


def remove_tree(folder: Path) -> None:
    """Removes a folder, a file or a link; no error when there is none."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """The files that the package's digest covers, with their execute bits; links stay links."""
    remove_tree(target)
    target.mkdir(mode=0o700, parents=True)
    for name, entry in package_files(os.fspath(source)):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_symlink():
            place.symlink_to(_inside(os.readlink(entry.path), name))
        elif entry.is_dir(follow_symlinks=False):
            place.mkdir(exist_ok=True)
        else:
            shutil.copy(entry.path, place, follow_symlinks=False)


def _inside(link: str, name: str) -> str:
    """A link that leads out of the package would let a pushed package read this machine's files."""
    where = os.path.normpath(os.path.join(os.path.dirname(name), link))
    if os.path.isabs(link) or where.startswith(".."):
        raise PermanentFailure(
            "InvalidPackage", f"the link {name} leads out of the package", hint="replace it by a copy"
        )
    return link


def _require_content(copy: Path, service: Service) -> None:
    """The package may have been edited while it was copied; then a newer revision is on its way."""
    assert service.package is not None
    if Digests().digest(os.fspath(copy)) != service.package.digest:
        raise RuntimeFailure("PackageChanged", "the package changed while it was copied")


def _dependencies(copy: Path) -> list[str]:
    """The names of the dependency folders that a copy was made of, or, made by 0.3, links to."""
    folders = [copy / name for name in ("node_modules", ".venv")]
    linked = [Path(os.readlink(folder)).parts[1] for folder in folders if folder.is_symlink()]
    return linked + [noted.read_text() for folder in folders if (noted := folder / NOTED).is_file()]
