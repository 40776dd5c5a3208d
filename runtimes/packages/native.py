"""Programs of this machine: there is nothing to install, and only the question where they run.

A folder of this machine is run in as it is; what came from elsewhere runs in a copy per revision, since it
goes when nobody wants that version any more, and what its program wrote must not. Without a package a program
runs in its data folder.

Up to 0.3 programs ran in the fetched files themselves. What still does so stays there until its next version:
the link that it has for a copy (`PackageStore.stay`) makes it one as any other.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from runtimes.base import RuntimeFailure
from runtimes.packages.git import is_pristine
from runtimes.packages.stored import StoredPreparer
from runtimes.preparer import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.service import Service
    from runtimes.base import Progress


class NativePreparer(StoredPreparer):
    """Implements `runtimes.preparer.Preparer`."""

    async def prepare(self, service: Service, progress: Progress) -> None:
        if service.package is None or not self._is_fetched(service):
            return
        pristine = is_pristine(Path(service.package.path), self._paths.repositories)
        try:
            await self._store.make_copy(service, progress, _nothing, authors=pristine)
        except RuntimeFailure as failure:
            if pristine or failure.reason != "PackageChanged":
                raise
            # Its program changed it; which version of it is the author's, nobody knows any more.
            await anyio.to_thread.run_sync(self._stay, service)

    def program(self, service: Service) -> Program:
        if service.package is None:
            return Program((), os.fspath(self._paths.data(service.id)))
        if self._is_fetched(service):
            return Program((), os.fspath(self._store.require(service)))
        return Program((), service.package.path)

    def copy(self, service: Service) -> Path | None:
        return self._store.existing(service) if self._is_fetched(service) else None

    def adopt(self, service: Service) -> None:
        if self._is_fetched(service) and self._store.existing(service) is None:
            with suppress(RuntimeFailure):
                self._stay(service)

    async def populate(self, service: Service, holder: Service | None) -> bool:
        return self._is_fetched(service) and await self._store.populate(service, holder)

    def _is_fetched(self, service: Service) -> bool:
        """Whether its package is in a place of the node's own."""
        package = service.package
        return package is not None and Path(package.path).is_relative_to(self._paths.home / "packages")

    def _stay(self, service: Service) -> None:
        try:
            self._store.stay(service)
        except OSError as error:
            message = f"{service.id} cannot stay where it ran: {error.strerror or error}"
            raise RuntimeFailure("PrepareFailed", message) from error


async def _nothing(copy: Path) -> Mapping[str, Any]:
    """There is nothing to install or to build."""
    return {}
