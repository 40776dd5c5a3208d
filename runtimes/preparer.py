"""What a kind of package needs before it can run: the half in which Node and Python differ."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from manifests.service import Service
    from runtimes.base import Progress
    from runtimes.paths import Paths


@dataclass(frozen=True, slots=True)
class Program:
    """How a prepared revision is run.

    `argv` is empty where only the manifest's command can say. `path` holds folders that are searched
    before the usual PATH.
    """

    argv: tuple[str, ...]
    cwd: str
    path: tuple[str, ...] = ()


class Preparer(Protocol):
    """Makes a package ready to run, and says how it is run."""

    async def prepare(self, service: Service, progress: Progress) -> None:
        """Cached by what it depends on; cancellable; never changes what a running revision uses."""
        ...

    def program(self, service: Service) -> Program:
        """Raises RuntimeFailure when the revision is not prepared or has no entry point."""
        ...

    def copy(self, service: Service) -> Path | None:
        """The copy of its package that a prepared revision runs in; None where it runs in none."""
        ...

    async def settle(self, service: Service, holder: Service | None) -> bool:
        """What `holder`'s program wrote in its copy is in this revision's, too. True when anything was.

        Called while nobody runs in that copy. Raises RuntimeFailure.
        """
        ...

    async def rescue(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """Makes sure that `collect` takes nothing away that a program wrote. Returns where that is now."""
        ...

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Deletes what no kept revision needs and was rescued."""
        ...

    async def anticipate(self, service: Service) -> None:
        """Does beforehand what will be wanted when this service is edited; beside everything else."""
        ...


class NativePreparer:
    """Programs of this machine: run in their folder as it is, or in the data folder when there is none."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    async def prepare(self, service: Service, progress: Progress) -> None:
        """Nothing to fetch or build."""

    def program(self, service: Service) -> Program:
        if service.package is not None:
            return Program((), service.package.path)
        return Program((), os.fspath(self._paths.data(service.id)))

    def copy(self, service: Service) -> Path | None:
        return None

    async def settle(self, service: Service, holder: Service | None) -> bool:
        return False

    async def rescue(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        return ()

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Nothing was made."""

    async def anticipate(self, service: Service) -> None:
        """Nothing that would help."""
