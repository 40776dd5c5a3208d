"""The runtimes of an engine, for a node that may never have a container.

Until the first one is declared no engine is looked for, and nothing that talks to one is imported; so a node
without containers neither waits for an engine nor misses one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from runtimes.base import no_secrets
from runtimes.docker.folders import SWARM_NODE_FILE, Folders

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from manifests.model.service import Service
    from runtimes.base import Exit, Kept, Launch, OpenSecrets, Progress, Running, Watch
    from runtimes.docker.offers import Offers
    from runtimes.docker.runtime import DockerRuntime
    from runtimes.docker.swarm import SwarmRuntime
    from runtimes.docker.swarm_handles import Swarmed
    from runtimes.paths import Paths

R = TypeVar("R", "DockerRuntime", "SwarmRuntime")


class OnDemand(ABC, Generic[R]):
    """Implements `runtimes.base.Engine`."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._made: R | None = None
        self._needed = anyio.Event()

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def _make(self) -> R: ...

    async def run(self, watch: Watch) -> None:
        """Until cancelled."""
        await self._needed.wait()
        await self._runtime().run(watch)

    async def observe(self) -> Sequence[Running]:
        return await self._runtime().observe() if self._is_needed() else ()

    async def prepare(self, service: Service, progress: Progress) -> None:
        await self._runtime().prepare(service, progress)

    async def start(self, launch: Launch) -> Running:
        return await self._runtime().start(launch)

    async def stop(self, running: Running, *, force: bool = False) -> None:
        await self._runtime().stop(running, force=force)

    async def wait(self, running: Running) -> Exit:
        return await self._runtime().wait(running)

    async def kept(self, service: Service) -> Kept:
        return await self._runtime().kept(service)

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """Nothing is written in what is prepared."""
        return ()

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        if self._is_needed():
            await self._runtime().collect(service_id, keep)

    async def purge(self) -> None:
        """Nothing waits to be deleted."""

    async def prewarm(self, service: Service) -> None:
        """Nothing that would help."""

    def _is_needed(self) -> bool:
        """An earlier life had containers, or this one has."""
        return self._made is not None or self._folders.is_marked()

    def _runtime(self) -> R:
        if self._made is None:
            self._made = self._make()
            self._needed.set()
        return self._made


class DockerOnDemand(OnDemand["DockerRuntime"]):
    """Containers of this machine's engine."""

    def __init__(
        self, paths: Paths, binds: Sequence[str] = (), open_secrets: OpenSecrets = no_secrets
    ) -> None:
        super().__init__(Folders(paths))
        self._open_secrets = open_secrets
        self._paths = paths
        self._binds = binds

    @property
    def name(self) -> str:
        return "docker"

    def _make(self) -> DockerRuntime:
        from runtimes.docker.runtime import DockerRuntime

        return DockerRuntime(self._paths, binds=self._binds, open_secrets=self._open_secrets)

    def health(self, running: Running) -> str | None:
        """What is wrong by the image's own HEALTHCHECK; None when nothing is, "" when it has none."""
        return self._runtime().health(running)

    # -- newer images (reconciler.drive.image_releases.Images)

    async def digest(self, image: str) -> str:
        """What the image's tag is now, by its registry. Raises RuntimeFailure."""
        return await self._offers().digest(image)

    async def newest(self, image: str, wanted: str) -> tuple[str, str] | None:
        """The newest tag in a range, and its digest. Raises RuntimeFailure."""
        return await self._offers().newest(image, wanted)

    async def digests(self, image: str) -> Collection[str] | None:
        """Those that the engine knows of an image; None where it does not have it. Raises RuntimeFailure."""
        return await self._runtime().images.digests(image)

    async def fetch(self, reference: str) -> None:
        """Afterwards the engine has it. Raises RuntimeFailure."""
        await self._runtime().images.fetch(reference)

    def _offers(self) -> Offers:
        from runtimes.docker.offers import Offers

        return Offers(self._folders.credentials)

    async def execute(self, running: Running, command: Sequence[str]) -> int:
        """Runs a command beside the program; its status. Raises RuntimeFailure."""
        return await self._runtime().execute(running, command)


class SwarmOnDemand(OnDemand["SwarmRuntime"]):
    """Services of the swarm that this machine's engine is a manager of."""

    def __init__(self, paths: Paths) -> None:
        super().__init__(Folders(paths, mark=SWARM_NODE_FILE))
        self._paths = paths

    @property
    def name(self) -> str:
        return "swarm"

    def _make(self) -> SwarmRuntime:
        from runtimes.docker.swarm import SwarmRuntime

        return SwarmRuntime(self._paths)

    def handle(self, running: Running) -> Swarmed | None:
        """What is known of an instance by now; None when it is gone."""
        return self._runtime().handle(running)
