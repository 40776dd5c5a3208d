"""The port to whoever has the services' secrets: see `reconciler.state.vault`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtimes.base import NO_SECRETS

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.model.service import Service
    from runtimes.base import Secrets


class SecretKeeper(Protocol):
    """Has the secrets of each revision, and gives them to an instance that starts."""

    def open(self, service: Service) -> Secrets:
        """In plain text. Raises RuntimeFailure."""
        ...

    def collect(self, service_id: str, keep: Collection[str]) -> None:
        """Deletes those of a service's revisions that are not kept."""
        ...


class NoSecrets:
    """Implements `SecretKeeper` for nodes whose services have none."""

    def open(self, service: Service) -> Secrets:
        """None."""
        return NO_SECRETS

    def collect(self, service_id: str, keep: Collection[str]) -> None:
        """Nothing is kept."""
