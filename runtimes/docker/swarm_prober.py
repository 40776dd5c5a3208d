"""Checks of what a swarm runs: each of its tasks is asked where it listens.

Until all have passed once a revision is not ready; from then on it is as long as one of them passes, because
the swarm itself replaces a task that is lost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from manifests.model.spec import Probe
    from runtimes.base import Running
    from runtimes.docker.on_demand import SwarmOnDemand
    from runtimes.probes import Prober


class SwarmProber:
    """Implements `runtimes.probes.Prober` for instances that a swarm keeps; others go to `otherwise`."""

    def __init__(self, swarm: SwarmOnDemand, otherwise: Prober) -> None:
        self._swarm = swarm
        self._otherwise = otherwise

    async def check(self, probe: Probe | None, running: Running) -> str | None:
        if running.copies is None:
            return await self._otherwise.check(probe, running)
        handle = self._swarm.handle(running)
        if handle is None or handle.running is None:
            return "it is gone"
        copies = handle.running.copies or ()
        if handle.lacking and not (handle.proved and copies):
            return handle.lacking
        failures = await self._ask_all(probe, handle.running)
        if failures and not (handle.proved and len(failures) < len(copies)):
            return failures[0]
        handle.proved = True
        return None

    async def elsewhere(self, running: Running) -> str:
        """Nobody sees into other machines."""
        return "" if running.copies is not None else await self._otherwise.elsewhere(running)

    async def _ask_all(self, probe: Probe | None, running: Running) -> list[str]:
        """One failure for each task that has one. Without a probe: the runtime has reached them already."""
        failures: list[str] = []

        async def ask(one: Running) -> None:
            if failure := await self._otherwise.check(probe, one):
                failures.append(failure)

        async with anyio.create_task_group() as tasks:
            for copy in (running.copies or ()) if probe is not None else ():
                if copy.endpoint is not None:
                    tasks.start_soon(ask, replace(running, endpoint=copy.endpoint, copies=None, container=""))
        return failures
