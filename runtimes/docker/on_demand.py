"""The docker runtime of a node that may never have a container.

Until the first one is declared no engine is looked for, and nothing that talks to one is imported; so a node
without containers neither waits for an engine nor misses one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from runtimes.docker.folders import Folders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from manifests.service import Service
    from runtimes.base import Exit, Launch, Progress, Running, RuntimeUnavailable
    from runtimes.docker.runtime import DockerRuntime
    from runtimes.paths import Paths


class DockerOnDemand:
    """Implements `runtimes.base.Runtime`. `run` has to run as long as instances are to be waited for."""

    def __init__(self, paths: Paths, binds: Sequence[str] = ()) -> None:
        self._paths = paths
        self._binds = binds
        self._made: DockerRuntime | None = None
        self._needed = anyio.Event()
        #: Told when the engine is found to be away.
        self.lost: Callable[[RuntimeUnavailable], None] = lambda _: None

    @property
    def name(self) -> str:
        return "docker"

    async def run(self) -> None:
        """Until cancelled."""
        await self._needed.wait()
        await self._runtime().run()

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

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        if self._is_needed():
            await self._runtime().collect(service_id, keep)

    def health(self, running: Running) -> str | None:
        """What is wrong by the image's own HEALTHCHECK; None when nothing is, "" when it has none."""
        return self._runtime().health(running)

    async def execute(self, running: Running, command: Sequence[str]) -> int:
        """Runs a command beside the program; its status. Raises RuntimeFailure."""
        return await self._runtime().execute(running, command)

    def _is_needed(self) -> bool:
        """An earlier life had containers, or this one has."""
        return self._made is not None or Folders(self._paths).is_marked()

    def _runtime(self) -> DockerRuntime:
        if self._made is None:
            from runtimes.docker.runtime import DockerRuntime

            self._made = DockerRuntime(self._paths, binds=self._binds)
            self._made.lost = lambda failure: self.lost(failure)
            self._needed.set()
        return self._made
