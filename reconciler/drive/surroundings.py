"""What every effect acts on, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtimes.base import PermanentFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from manifests.model.service import Service
    from reconciler.drive.events import EventLog
    from reconciler.drive.internal_errors import InternalErrors
    from reconciler.drive.metrics import Metrics
    from reconciler.drive.routing import Routing
    from runtimes.base import Runtime, RuntimeUnavailable


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`changed` is called with a service's id whenever its world is different, `lost` with a runtime's name
    when it turns out that it cannot be reached.
    """

    runtimes: Mapping[str, Runtime]
    events: EventLog
    metrics: Metrics
    errors: InternalErrors
    routing: Routing
    changed: Callable[[str], None]
    lost: Callable[[str, RuntimeUnavailable], None]

    def runtime(self, service: Service) -> Runtime:
        """The one that the service is of. Raises PermanentFailure."""
        runtime = self.runtimes.get(service.runtime)
        if runtime is None:
            raise PermanentFailure("UnknownRuntime", f"this node has no runtime {service.runtime}")
        return runtime
