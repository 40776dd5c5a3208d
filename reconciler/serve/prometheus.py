"""Prometheus' text format, version 0.0.4: the node's status and counters as one page.

Pure: the caller brings the status, the counters, the facts about the process and the time. What the router
counts it says by itself, in `runtimes.router.tell.metrics`; the page of `/metrics` has both.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reconciler.drive.metrics import BUCKETS
from runtimes.prometheus import family, histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.drive.metrics import Metrics
    from reconciler.gitops.port import Counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONDITION_TYPES = ("Ready", "Reconciling", "Stalled")
STATUSES = ("True", "False", "Unknown")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What the system says about this process. Bytes, and seconds (`start_time` since the epoch)."""

    resident_bytes: int
    cpu_seconds: float
    open_fds: int
    start_time: float


def render(
    status: Mapping[str, Any],
    metrics: Metrics,
    process: ProcessFacts,
    *,
    now: float,
    commits: Mapping[str, Counts] | None = None,
) -> str:
    """The page. `now` is wall-clock seconds, for the lag of sources that say when they were last read.

    `commits`: of each Git source, what became of its commits.
    """
    services: list[dict[str, Any]] = status["services"]
    sources: list[dict[str, Any]] = status["sources"]
    families = (
        *_of_services(services, metrics),
        *_of_the_loop(metrics),
        *_of_sources(sources, now),
        *_of_records([source for source in sources if "lag" in source]),
        *_of_git([source for source in sources if source["name"] in (commits or {})], commits or {}),
        *_of_the_process(process, status.get("node", {})),
    )
    return "".join(line + "\n" for family in families for line in family)


def _of_services(services: list[dict[str, Any]], metrics: Metrics) -> Iterator[Iterator[str]]:
    counts = Counter((c["type"], c["status"]) for service in services for c in service["conditions"])
    yield family(
        "gauge",
        "atek_services",
        "Services by condition and its status.",
        (
            ({"condition": kind, "status": status}, counts[kind, status])
            for kind in CONDITION_TYPES
            for status in STATUSES
        ),
    )
    yield family(
        "gauge",
        "atek_service_condition",
        "1 when the condition of the service is True, otherwise 0.",
        (
            ({"service": service["id"], "condition": condition["type"]}, condition["status"] == "True")
            for service in services
            for condition in service["conditions"]
        ),
    )
    yield family(
        "counter",
        "atek_service_restarts_total",
        "Instances replaced after they ended by themselves.",
        (({"service": service["id"]}, metrics.restarts.get(service["id"], 0)) for service in services),
    )
    yield family(
        "counter",
        "atek_egress_refused_total",
        "Connections to other machines that a strict sandbox did not let out.",
        (
            ({"service": service["id"]}, metrics.egress_refused[service["id"]])
            for service in services
            if service["id"] in metrics.egress_refused
        ),
    )


def _of_the_loop(metrics: Metrics) -> Iterator[Iterator[str]]:
    yield _histogram(metrics)
    yield family(
        "counter",
        "atek_reconcile_errors_total",
        "Reconciliations that ended in an error.",
        [({}, metrics.reconcile_errors)],
    )
    yield family(
        "gauge", "atek_queue_depth", "Services that wait to be looked at.", [({}, metrics.queue_depth)]
    )
    yield family("counter", "atek_resyncs_total", "Full passes over all services.", [({}, metrics.resyncs)])
    yield family(
        "counter",
        "atek_resync_cpu_seconds_total",
        "Processor time of all full passes.",
        [({}, metrics.resync_cpu_seconds)],
    )


def _histogram(metrics: Metrics) -> Iterator[str]:
    return histogram(
        "atek_reconcile_duration_seconds",
        "How long one reconciliation of one service took.",
        BUCKETS,
        [({}, metrics.reconcile_counts, metrics.reconcile_seconds)],
    )


def _of_sources(sources: list[dict[str, Any]], now: float) -> Iterator[Iterator[str]]:
    yield family(
        "gauge",
        "atek_source_services",
        "Services that the source declares.",
        (({"source": source["name"]}, len(source["services"])) for source in sources),
    )
    yield family(
        "gauge",
        "atek_source_errors",
        "What is wrong with the source right now; 0 when all of it could be read.",
        (({"source": source["name"]}, _errors(source)) for source in sources),
    )
    yield family(
        "gauge",
        "atek_source_lag_seconds",
        "Time since the source was last read successfully.",
        (
            ({"source": source["name"]}, max(0.0, now - source["lastRead"]))
            for source in sources
            if source.get("lastRead") is not None
        ),
    )


def _of_records(sources: list[dict[str, Any]]) -> Iterator[Iterator[str]]:
    """Those that are Hypercore databases: this node's own, and those that it follows."""
    yield family(
        "gauge",
        "atek_record_lag",
        "Blocks of the source's database that a peer has, and that are not applied here.",
        (({"source": source["name"]}, source["lag"]) for source in sources),
    )
    yield family(
        "gauge",
        "atek_record_version",
        "The version of the source's database that is applied.",
        (({"source": source["name"]}, source["position"][-1]) for source in sources if source["position"]),
    )
    yield family(
        "gauge",
        "atek_record_peers",
        "Connected nodes that have the source's database.",
        (({"source": source["name"]}, source["peers"]) for source in sources),
    )
    yield family(
        "gauge",
        "atek_record_condition",
        "1 when the condition of the source is True, otherwise 0.",
        _conditions(sources),
    )


def _of_git(sources: list[dict[str, Any]], commits: Mapping[str, Counts]) -> Iterator[Iterator[str]]:
    if not sources:
        return
    yield family(
        "counter",
        "atek_git_commits_total",
        "Commits of the source by what became of them.",
        (
            ({"source": name, "outcome": outcome}, count)
            for name, counts in commits.items()
            for outcome, count in asdict(counts).items()
        ),
    )
    yield family(
        "gauge",
        "atek_git_condition",
        "1 when the condition of the source is True, otherwise 0.",
        _conditions(sources),
    )


def _conditions(sources: list[dict[str, Any]]) -> Iterator[tuple[dict[str, str], bool]]:
    for source in sources:
        for condition in source["conditions"]:
            labels = {"source": source["name"], "condition": condition["type"]}
            yield labels, condition["status"] == "True"


def _errors(source: Mapping[str, Any]) -> int:
    return len(source.get("problems") or ()) or int(bool(source.get("error")))


def _of_the_process(process: ProcessFacts, node: Mapping[str, Any]) -> Iterator[Iterator[str]]:
    yield family(
        "gauge",
        "atek_build_info",
        "Always 1; the label names the version.",
        [({"version": str(node.get("version", ""))}, 1)],
    )
    yield family(
        "gauge",
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        [({}, process.resident_bytes)],
    )
    yield family(
        "counter",
        "process_cpu_seconds_total",
        "User and system CPU time spent in seconds.",
        [({}, process.cpu_seconds)],
    )
    yield family("gauge", "process_open_fds", "Open file descriptors.", [({}, process.open_fds)])
    yield family(
        "gauge",
        "process_start_time_seconds",
        "Start of the process, in seconds since the epoch.",
        [({}, process.start_time)],
    )
