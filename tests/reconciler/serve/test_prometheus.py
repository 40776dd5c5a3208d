"""The metrics page, read back by Prometheus' own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from reconciler.drive.metrics import Metrics
from reconciler.gitops.port import Counts
from reconciler.serve.prometheus import ProcessFacts, render
from runtimes.prometheus import family
from tests.reconciler.fakes import FakeNode, condition, service, source

if TYPE_CHECKING:
    from collections.abc import Mapping

PROCESS = ProcessFacts(resident_bytes=30 << 20, cpu_seconds=1.25, open_fds=17, start_time=1.7e9)

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def page(node: FakeNode, *, now: float = 0.0, commits: Mapping[str, Counts] | None = None) -> Values:
    text = render(node.status(), node.metrics, PROCESS, now=now, commits=commits)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    }


def key(name: str, labels: Mapping[str, str] | None = None) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset((labels or {}).items())


def test_services_are_counted_by_condition() -> None:
    node = FakeNode(metrics=Metrics(restarts={"notes": 3}))
    node.add(service("notes"), service("wiki"), service("mail", ready=False))
    values = page(node)
    assert values[key("atek_services", {"condition": "Ready", "status": "True"})] == 2
    assert values[key("atek_services", {"condition": "Ready", "status": "False"})] == 1
    assert values[key("atek_services", {"condition": "Ready", "status": "Unknown"})] == 0
    assert values[key("atek_service_condition", {"service": "mail", "condition": "Ready"})] == 0
    assert values[key("atek_service_condition", {"service": "mail", "condition": "Reconciling"})] == 1
    assert values[key("atek_service_restarts_total", {"service": "notes"})] == 3
    assert values[key("atek_service_restarts_total", {"service": "wiki"})] == 0


def test_durations_are_a_cumulative_histogram() -> None:
    node = FakeNode()
    for seconds in (0.00001, 0.0007, 0.0007, 3.0):
        node.metrics.reconciled(seconds)
    values = page(node)
    name = "atek_reconcile_duration_seconds"
    assert values[key(f"{name}_bucket", {"le": "5e-05"})] == 1
    assert values[key(f"{name}_bucket", {"le": "0.001"})] == 3
    assert values[key(f"{name}_bucket", {"le": "1.0"})] == 3
    assert values[key(f"{name}_bucket", {"le": "+Inf"})] == 4
    assert values[key(f"{name}_count")] == 4
    assert values[key(f"{name}_sum")] == 0.00001 + 0.0007 + 0.0007 + 3.0


def test_sources_tell_their_lag_and_errors() -> None:
    read = source("manifests", services=("a", "b"), lastRead=100.0)
    broken = source("home", error="cannot be read", problems=[{"message": "x"}, {"message": "y"}])
    values = page(FakeNode(sources=[read, broken]), now=130.5)
    assert values[key("atek_source_services", {"source": "manifests"})] == 2
    assert values[key("atek_source_errors", {"source": "manifests"})] == 0
    assert values[key("atek_source_lag_seconds", {"source": "manifests"})] == 30.5
    assert values[key("atek_source_errors", {"source": "home"})] == 2
    assert key("atek_source_lag_seconds", {"source": "home"}) not in values


def test_git_sources_tell_what_became_of_commits() -> None:
    conditions = [condition("Ready", "False", "Reverted"), condition("Stalled", "True", "Reverted")]
    home, broken = source("home", conditions=conditions), source("other", conditions=[])
    commits = {"home": Counts(applied=3, held=1, reverted=2), "other": Counts()}
    node = FakeNode(sources=[source("manifests"), home, broken])
    values = page(node, commits=commits)
    for outcome, count in (("applied", 3), ("held", 1), ("reverted", 2)):
        assert values[key("atek_git_commits_total", {"source": "home", "outcome": outcome})] == count
        assert values[key("atek_git_commits_total", {"source": "other", "outcome": outcome})] == 0
    assert values[key("atek_git_condition", {"source": "home", "condition": "Ready"})] == 0
    assert values[key("atek_git_condition", {"source": "home", "condition": "Stalled"})] == 1
    assert not any(name.startswith("atek_git") for name, _ in page(FakeNode()))


def test_a_clock_that_jumps_back_makes_no_negative_lag() -> None:
    values = page(FakeNode(sources=[source("manifests", lastRead=100.0)]), now=40.0)
    assert values[key("atek_source_lag_seconds", {"source": "manifests"})] == 0


def test_the_process_and_the_loop_have_their_figures() -> None:
    values = page(FakeNode(metrics=Metrics(reconcile_errors=2, queue_depth=5)))
    assert values[key("process_resident_memory_bytes")] == 30 << 20
    assert values[key("process_cpu_seconds_total")] == 1.25
    assert values[key("process_open_fds")] == 17
    assert values[key("process_start_time_seconds")] == 1.7e9
    assert values[key("atek_reconcile_errors_total")] == 2
    assert values[key("atek_queue_depth")] == 5
    assert values[key("atek_build_info", {"version": "0.1.0"})] == 1


def test_every_metric_is_described_and_typed_once() -> None:
    text = render(FakeNode(sources=[source("m")]).status(), Metrics(), PROCESS, now=0)
    named = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    helped = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
    assert named == helped
    assert len(named) == len(set(named))
    assert text.endswith("\n")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False))
def test_any_label_value_and_number_survive(label: str, value: float) -> None:
    text = "\n".join(family("gauge", "odd", "Odd.", [({"name": label}, value)])) + "\n"
    (metric,) = text_string_to_metric_families(text)
    (sample,) = metric.samples
    assert sample.labels == {"name": label}
    assert sample.value == value


def test_records_tell_how_far_they_are_behind() -> None:
    behind = {"type": "Synced", "status": "False", "reason": "Behind", "message": ""}
    stalled = {"type": "Stalled", "status": "True", "reason": "LogForked", "message": ""}
    known: dict[str, Any] = {"position": [0, 12], "lag": 3, "peers": 2, "conditions": [behind, stalled]}
    new: dict[str, Any] = {"position": None, "lag": 0, "peers": 0, "conditions": []}
    values = page(FakeNode(sources=[source("laptop", **known), source("tv", **new), source("manifests")]))
    assert values[key("atek_record_lag", {"source": "laptop"})] == 3
    assert values[key("atek_record_version", {"source": "laptop"})] == 12
    assert values[key("atek_record_peers", {"source": "laptop"})] == 2
    assert values[key("atek_record_condition", {"source": "laptop", "condition": "Synced"})] == 0
    assert values[key("atek_record_condition", {"source": "laptop", "condition": "Stalled"})] == 1
    assert values[key("atek_record_lag", {"source": "tv"})] == 0
    assert key("atek_record_version", {"source": "tv"}) not in values
    assert key("atek_record_lag", {"source": "manifests"}) not in values
