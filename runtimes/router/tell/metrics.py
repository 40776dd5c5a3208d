"""What the router counts: requests by route and status, how long they took, what is open, what went wrong.

Counting is a few additions to a dict; the text is made only when somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runtimes.prometheus import family, histogram

#: What proxies write down for a client that did not wait (nginx's number).
LEFT = 499
#: Seconds.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Series:
    """The requests of one kind to one route. Counted where they are answered, without a call."""

    __slots__ = ("kind", "latencies", "route", "seconds", "statuses")

    def __init__(self, kind: str, route: str) -> None:
        self.kind = kind
        self.route = route
        self.statuses: dict[int, int] = {}
        self.latencies = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


@dataclass(slots=True)
class Metrics:
    """Mutable on purpose: one per router. A route is an API's id or a service's, of those that exist."""

    all: dict[tuple[str, str], Series] = field(default_factory=dict)
    upstream_errors: dict[str, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    connections: int = 0
    in_flight: int = 0

    def series(self, kind: str, route: str) -> Series:
        """Where requests are counted. `kind` is gateway, host or node."""
        series = self.all.get((kind, route))
        if series is None:
            series = self.all[kind, route] = Series(kind, route)
        return series

    def failed(self, service_id: str) -> None:
        """An instance could not be reached, or did not answer as it should."""
        self.upstream_errors[service_id] = self.upstream_errors.get(service_id, 0) + 1

    def refuse(self, status: int) -> None:
        """A request that could not even be read."""
        self.refused[status] = self.refused.get(status, 0) + 1

    def text(self, upstreams: int) -> str:
        """Prometheus' text format. `upstreams`: open connections to instances."""
        families = (
            family(
                "counter", "atek_router_requests_total", "Requests by route and status.",
                (
                    ({"kind": kind, "route": route, "code": str(status)}, count)
                    for (kind, route), series in sorted(self.all.items())
                    for status, count in sorted(series.statuses.items())
                ),
            ),
            histogram(
                "atek_router_request_duration_seconds", "From a request's head to the end of its answer.",
                BUCKETS,
                (
                    ({"kind": kind, "route": route}, series.latencies, series.seconds)
                    for (kind, route), series in sorted(self.all.items())
                ),
            ),
            family(
                "counter", "atek_router_refused_total", "Requests that broke the rules, by the answer.",
                (({"code": str(status)}, count) for status, count in sorted(self.refused.items())),
            ),
            family(
                "counter", "atek_router_upstream_errors_total", "Instances unreachable, or answers broken.",
                (({"service": name}, count) for name, count in sorted(self.upstream_errors.items())),
            ),
            family(
                "gauge", "atek_router_requests_in_flight", "Requests that are being answered.",
                [({}, self.in_flight)],
            ),
            family(
                "gauge", "atek_router_connections", "Open connections.",
                [({"side": "clients"}, self.connections), ({"side": "instances"}, upstreams)],
            ),
        )  # fmt: skip
        return "".join(line + "\n" for lines in families for line in lines)
