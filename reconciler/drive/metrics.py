"""Counters that the loop keeps while it works; `serve.prometheus` turns them into Prometheus' text.

Reconcile durations are a cumulative histogram in seconds with buckets from 50 µs to 1 s.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)


@dataclass(slots=True)
class Metrics:
    """Mutable on purpose: one per node, written by the loop, read by /metrics."""

    reconcile_counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    reconcile_seconds: float = 0.0
    reconcile_errors: int = 0
    resyncs: int = 0
    resync_cpu_seconds: float = 0.0
    queue_depth: int = 0
    restarts: dict[str, int] = field(default_factory=dict)
    egress_refused: dict[str, int] = field(default_factory=dict)

    def reconciled(self, seconds: float) -> None:
        """Counts one reconciliation of one service."""
        self.reconcile_counts[bisect_left(BUCKETS, seconds)] += 1
        self.reconcile_seconds += seconds

    def refused_egress(self, service_id: str) -> None:
        """Counts a connection to another machine that a strict sandbox did not let out."""
        self.egress_refused[service_id] = self.egress_refused.get(service_id, 0) + 1

    def restarted(self, service_id: str) -> None:
        self.restarts[service_id] = self.restarts.get(service_id, 0) + 1
