"""A preparer that is made once a service needs it; what installs packages is loaded by nobody else."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Progress
    from runtimes.preparer import Preparer, Program


class LatePreparer:
    """Implements `runtimes.preparer.Preparer` by what `make` returns."""

    def __init__(self, make: Callable[[], Preparer]) -> None:
        self._make = make

    @cached_property
    def _preparer(self) -> Preparer:
        return self._make()

    async def prepare(self, service: Service, progress: Progress) -> None:
        await self._preparer.prepare(service, progress)

    def program(self, service: Service) -> Program:
        return self._preparer.program(service)

    def copy(self, service: Service) -> Path | None:
        return self._preparer.copy(service)

    def adopt(self, service: Service) -> None:
        self._preparer.adopt(service)

    async def populate(self, service: Service, holder: Service | None) -> bool:
        return await self._preparer.populate(service, holder)

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        return await self._preparer.retain(service_id, keep, holder)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        await self._preparer.collect(service_id, keep)

    async def purge(self) -> None:
        await self._preparer.purge()

    async def prewarm(self, service: Service) -> None:
        await self._preparer.prewarm(service)
