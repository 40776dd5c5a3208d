"""What a kind of package needs before it can run: the half in which Node and Python differ."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

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

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Deletes what no kept revision needs."""
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

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Nothing was made."""

    async def anticipate(self, service: Service) -> None:
        """Nothing that would help."""
