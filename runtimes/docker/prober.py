"""Checks of containers: the image's own HEALTHCHECK counts, and commands run inside.

Everything else is asked of the endpoint, as for processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from manifests.model.spec import Probe
    from runtimes.base import Running
    from runtimes.docker.on_demand import DockerOnDemand
    from runtimes.probes import Prober


class ContainerProber:
    """Implements `runtimes.probes.Prober` for containers; what is none goes to `otherwise`."""

    def __init__(self, docker: DockerOnDemand, otherwise: Prober) -> None:
        self._docker = docker
        self._otherwise = otherwise

    async def check(self, probe: Probe | None, running: Running) -> str | None:
        if running.container and probe is None:
            told = self._docker.health(running)
            return await self._otherwise.check(None, running) if told == "" else told
        if running.container and probe is not None and probe.exec is not None:
            return await self._execute(probe, probe.exec.command, running)
        return await self._otherwise.check(probe, running)

    async def elsewhere(self, running: Running) -> str:
        return await self._otherwise.elsewhere(running)

    async def _execute(self, probe: Probe, command: tuple[str, ...], running: Running) -> str | None:
        try:
            with anyio.fail_after(probe.timeout_seconds):
                code = await self._docker.execute(running, command)
        except TimeoutError:
            return f"no answer within {probe.timeout_seconds:g} s"
        except RuntimeFailure as failure:
            return failure.message
        return None if code == 0 else f"{command[0]} exited with status {code}"
