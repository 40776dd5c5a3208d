"""What updates by themselves need of others: where newer releases come from, and the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from manifests.model.auto_update import AutoUpdate
    from manifests.model.merge import Winner
    from reconciler.decide.updating import Choice, Edit


class Origin(Protocol):
    """Where newer ones come from. A `Winner` is one that it has an `origin` for."""

    def origin(self, winner: Winner) -> str | None:
        """Which repository it is; None for services that this one has nothing for."""
        ...

    def here(self, winner: Winner) -> Choice | None:
        """What the service stays at; None while that is not known."""
        ...

    async def newest(self, winner: Winner) -> Choice | None:
        """What it could have, by its manifest. Raises RuntimeFailure."""
        ...

    async def fetch(self, winner: Winner, choice: Choice) -> None:
        """Has it on this machine. Raises RuntimeFailure or OSError."""
        ...

    def stay(self, winner: Winner, choice: Choice) -> None:
        """The service runs from it from now on, also in the next life. Raises OSError."""
        ...

    def spare(self, winner: Winner, choice: Choice | None) -> None:
        """It may be gone back to, and is not deleted until this is told None."""
        ...

    def edit(self, winner: Winner) -> Edit | None:
        """How its manifest would say what the service stays at; None where it does, or cannot."""
        ...


class Host(Protocol):
    """The node, as its updates see it."""

    @property
    def complete(self) -> bool: ...

    def updatable(self) -> Collection[str]:
        """The ids of the services that say autoUpdate."""
        ...

    def winner(self, service_id: str) -> Winner | None:
        """What the sources declare of a service."""
        ...

    def service(self, service_id: str) -> dict[str, Any] | None:
        """Its entry in status."""
        ...

    async def keeps(self, service_id: str) -> str | None:
        """Where it has kept data by now; empty when nowhere, None when nobody could look."""
        ...

    async def write_back(self, winner: Winner, change: Edit) -> str:
        """The commit with it that was pushed to its source; empty where there is nothing to change any more.

        Raises UserError.
        """
        ...

    async def look_again(self, service_id: str) -> None:
        """Returns once it is declared with its package as it is now."""
        ...

    def listening(self, heard: Callable[[str], None]) -> AbstractContextManager[None]: ...

    def failed(self, error: Exception) -> None: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A service, as it is declared, and where newer ones of it come from."""

    id: str
    winner: Winner
    origin: Origin

    @property
    def here(self) -> Choice | None:
        return self.origin.here(self.winner)

    @property
    def rule(self) -> AutoUpdate | None:
        return self.winner.declared.manifest.auto_update

    @property
    def deadline(self) -> float:
        return self.winner.declared.manifest.update.healthy_deadline
