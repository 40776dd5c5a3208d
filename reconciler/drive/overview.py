"""What `atek status` says about everything: the node, its sources, and each service that it knows of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from reconciler.decide.internal_error import internal_error
from reconciler.drive.status import (
    refusal_status,
    service_status,
    source_status,
    standing,
    unknown_status,
    unready,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.drive.desired import DesiredState
    from reconciler.drive.loop import Reconciler
    from reconciler.drive.routing import Routing


class Network(Protocol):
    """See `reconciler.port.Lan`."""

    def problems(self) -> list[str]: ...

    def conditions(self, service_id: str) -> list[dict[str, Any]]: ...

    def addresses(self, service_id: str) -> list[str]: ...

    def urls(self) -> list[str]: ...


class Overview:
    """Read at this moment. `more`: what else is to be said about the source of a name.

    `rights`: what a service asks for, or has been granted.
    """

    def __init__(
        self,
        about: Mapping[str, Any],
        reconciler: Reconciler,
        desired: DesiredState,
        routing: Routing,
        *,
        notices: Sequence[str],
        more: Callable[[str], Mapping[str, Any]],
        rights: Callable[[str], list[dict[str, Any]]],
        lan: Network,
    ) -> None:
        self._about = about
        self._reconciler = reconciler
        self._controllers = reconciler.controllers
        self._desired = desired
        self._routing = routing
        self._notices = notices
        self._more = more
        self._rights = rights
        self._lan = lan

    def status(self) -> dict[str, Any]:
        """The value of `atek status --json`."""
        return {
            "node": {**self._about, **self._ways_in(), "problems": self._problems()},
            "services": [entry for _, entry in sorted(self.entries().items())],
            "sources": [
                {
                    **source_status(source, self._desired.merged, self._desired.last_read.get(source.name)),
                    **self._more(source.name),
                }
                for source in self._desired.sources
            ],
        }

    def entries(self) -> dict[str, dict[str, Any]]:
        """Id → the service's entry in `status`, of all services."""
        ids = self._controllers.keys() | self._desired.refusals.keys()
        return {service_id: entry for service_id in ids if (entry := self.service(service_id))}

    def service(self, service_id: str) -> dict[str, Any] | None:
        """One of them; None when there is nothing of it (any more)."""
        controller = self._controllers.get(service_id)
        refusal = self._desired.refusals.get(service_id)
        if controller is None:
            return refusal_status(service_id, refusal) if refusal else None
        try:
            node = str(self._about.get("address", ""))
            lost, owner = self._routing.lost.get(service_id), self._routing.owner(service_id)
            entry = service_status(controller, lost, refusal, node, owner)
            entry["addresses"] += self._lan.addresses(service_id)
            entry["conditions"] += self._lan.conditions(service_id)
            rights = self._rights(service_id)
            return {**entry, "rights": rights} if rights else entry
        except Exception as error:
            # One that cannot be told of hides none of the others.
            return unknown_status(service_id, internal_error(error))

    def standing(self, service_id: str) -> dict[str, Any] | None:
        """What of that says how it fares: `reconciler.drive.status.standing`."""
        controller = self._controllers.get(service_id)
        if controller is None:
            return self.service(service_id)
        try:
            return standing(controller)
        except Exception as error:
            return unknown_status(service_id, internal_error(error))

    def unready(self) -> dict[str, str]:
        """Id → why; the empty id stands for the node itself."""
        if not self._desired.loaded:
            return {"": "the sources are not read yet"}
        if self._reconciler.stopping:
            return {"": "the node is stopping"}
        reasons = unready(list(self._controllers.values()))
        if not self._reconciler.observation.complete:
            reasons[""] = "a runtime cannot say what runs"
        return reasons

    def _ways_in(self) -> dict[str, Any]:
        """Nothing is said of a network that does not reach the node."""
        urls = self._lan.urls()
        return {"urls": urls} if urls else {}

    def _problems(self) -> list[str]:
        failure = self._reconciler.saver.failure
        return [*self._notices, *self._lan.problems(), *([failure] if failure else [])]
