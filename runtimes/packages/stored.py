"""What the preparers of packages have in common: copies in a store, and what is installed in them, once.

They differ in how a copy is finished, which is their `Steps`, and in how it is run, which is `program`.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread

from runtimes.base import RuntimeFailure
from runtimes.packages.environment import tool_environment
from runtimes.packages.store import PackageStore
from runtimes.packages.tools import OpenWorkshop, ToolLog, run_tool
from runtimes.preparer import Preparer
from runtimes.sandbox.confinement import confinement_of
from runtimes.sandbox.troubles import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Progress
    from runtimes.packages.tools import Workshop
    from runtimes.packages.trees import Run
    from runtimes.packages.workshop import Workshops
    from runtimes.paths import Paths


class StoredPreparer(Preparer):
    """All of a preparer that follows from having copies in a store."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._store = PackageStore(paths)

    def copy(self, service: Service) -> Path | None:
        return self._store.existing(service)

    def adopt(self, service: Service) -> None:
        """It runs where it always did."""

    async def populate(self, service: Service, holder: Service | None) -> bool:
        return await self._store.populate(service, holder)

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        return await self._store.retain(service_id, keep, holder)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        await self._store.collect(service_id, keep)

    async def purge(self) -> None:
        await self._store.purge()

    async def prewarm(self, service: Service) -> None:
        """Nothing that would help."""


class Steps(Protocol):
    """What has to be done in one copy of a package."""

    async def finish(self, copy: Path) -> Mapping[str, Any]:
        """Installs, builds, and looks whether there is something to run. Raises RuntimeFailure.

        Returns what has to be known about the copy; `uses`: the names of the trees that it has clones of.
        """
        ...


class InstallingPreparer(StoredPreparer):
    """One whose packages are installed by a tool; what that brought is used again by other revisions."""

    def __init__(self, paths: Paths, workshops: Workshops | None = None) -> None:
        super().__init__(paths)
        self._workshops = workshops

    def workshop(self, service: Service) -> Workshop:
        """Where the tools of this service run. Raises RuntimeFailure."""
        if self._workshops is not None:
            return self._workshops.of(service)
        if confinement_of(service).level == "strict":
            raise RuntimeFailure(UNAVAILABLE, "nothing here can keep what others wrote apart")
        return OpenWorkshop(self._paths.cache)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        await super().collect(service_id, keep)
        if not keep and self._workshops is not None:
            await self._workshops.forget(service_id)

    @abstractmethod
    def steps(self, service: Service, progress: Progress) -> Steps: ...

    async def prepare(self, service: Service, progress: Progress) -> None:
        if service.package is None:
            return
        if service.in_place:
            await anyio.to_thread.run_sync(self.program, service)
            return
        await self._store.make_copy(service, progress, self.steps(service, progress).finish)

    async def prewarm(self, service: Service) -> None:
        if service.package is None:
            return
        log = ToolLog(self._paths.logs(service.id), name="spare.log")
        for tree in self._store.trees(service):
            await tree.prewarm(copier(tree.folder, log, lambda _: None))


def copier(folder: Path, log: ToolLog, progress: Progress) -> Run:
    """What runs `cp` in that folder. Raises RuntimeFailure."""
    return partial(_copy, folder, log, progress)


async def _copy(folder: Path, log: ToolLog, progress: Progress, words: list[str]) -> None:
    environment = tool_environment()
    await run_tool("copying", words, cwd=folder, environment=environment, log=log, progress=progress)
