"""What nobody thought of is counted, and told as an event of the one service that it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.decide.internal_error import internal_error

if TYPE_CHECKING:
    from reconciler.decide.conditions import Verdict
    from reconciler.drive.events import EventLog
    from reconciler.drive.metrics import Metrics


@dataclass(frozen=True, slots=True)
class InternalErrors:
    """Where they are told and counted."""

    events: EventLog
    metrics: Metrics

    def report(self, service_id: str, error: Exception) -> Verdict:
        """`service_id` is empty for the node itself. Returns what there is to say about it."""
        self.metrics.reconcile_errors += 1
        verdict = internal_error(error)
        self.events.emit(service_id, verdict.reason, verdict.message, warning=True)
        return verdict
