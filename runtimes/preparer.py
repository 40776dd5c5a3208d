"""What a kind of package needs before it can run: the half in which Node and Python differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Progress


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

    def adopt(self, service: Service) -> None:
        """An earlier life of the node started this revision, maybe elsewhere than it would be today."""
        ...

    async def populate(self, service: Service, holder: Service | None) -> bool:
        """What `holder`'s program wrote in its copy is in this revision's, too. True when anything was.

        Called while nobody runs in that copy. Raises RuntimeFailure.
        """
        ...

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """Makes sure that `collect` takes nothing away that a program wrote. Returns where that is now."""
        ...

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Takes what no kept revision needs, and was retained, out of its place."""
        ...

    async def purge(self) -> None:
        """Deletes what was taken out of its place; beside everything else."""
        ...

    async def prewarm(self, service: Service) -> None:
        """Does beforehand what will be wanted when this service is edited; beside everything else."""
        ...
