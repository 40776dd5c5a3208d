"""The node as the system APIs see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from reconciler.port import NodeApi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.snapshot import Declared


class ApiNode(NodeApi, Protocol):
    """A node that tells about one service at a time, and what exactly it works towards."""

    def service(self, service_id: str) -> dict[str, Any] | None:
        """The service's entry in `status`; None when there is nothing of it (any more)."""
        ...

    def declared(self) -> Mapping[str, Declared]:
        """Id → the declaration that the node works towards, or says why it cannot, at this moment.

        A changed manifest is here from the moment on in which the service's entry in `status` is about it.
        """
        ...

    async def look_again(self, service_id: str) -> None:
        """Returns once the service's package was looked at as it is now."""
        ...
