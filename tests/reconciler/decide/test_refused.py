"""Which services a source has and the node does not run as it says, and what their conditions are."""

from __future__ import annotations

from dataclasses import replace

from manifests.model.merge import Merged, Winner
from manifests.model.snapshot import Declared, Problem, Snapshot
from reconciler.decide.inheritance import DATA_OWNED
from reconciler.decide.refused import Refusal, refusals
from tests.reconciler.decide.worlds import service

APP = Declared(service().manifest, "/app.yaml", "/")
FETCHING = Problem("waits for its package", "pi:app", service="app", reason="Fetching")
NOBODY = Merged({}, {}, {}, complete=True)


def snapshot(source: str, *problems: Problem) -> Snapshot:
    return Snapshot(source, "follow", "1", (), problems)


def won_by(source: str) -> Merged:
    return replace(NOBODY, services={"app": Winner(APP, source)})


def test_a_reason_stays_since_when_it_came_up() -> None:
    first = refusals([snapshot("pi", FETCHING)], NOBODY, {}, 10.0)
    again = refusals([snapshot("pi", replace(FETCHING, message="still waits"))], NOBODY, first, 20.0)
    assert (first["app"].since, again["app"].since, again["app"].message) == (10.0, 10.0, "still waits")
    failed = refusals([snapshot("pi", replace(FETCHING, reason="FetchFailed"))], NOBODY, again, 30.0)
    assert failed["app"].since == 30.0


def test_what_would_lose_anyway_refuses_nothing() -> None:
    assert refusals([snapshot("pi", FETCHING)], won_by("manifests"), {}, 1.0) == {}
    assert list(refusals([snapshot("pi", FETCHING)], won_by("pi"), {}, 1.0)) == ["app"]


def test_whose_the_data_is_counts_although_the_next_source_has_its_turn() -> None:
    owned = replace(FETCHING, reason=DATA_OWNED)
    assert list(refusals([snapshot("pi", owned)], won_by("manifests"), {}, 1.0)) == ["app"]


def test_problems_of_no_service_or_without_a_reason_are_the_sources() -> None:
    problems = (replace(FETCHING, service=""), replace(FETCHING, reason=""))
    assert refusals([snapshot("pi", *problems)], NOBODY, {}, 1.0) == {}


def test_what_is_on_its_way_needs_nobody_and_what_is_refused_does() -> None:
    states = {
        reason: [(each.type, each.status) for each in Refusal("pi", reason, "", 1.0).conditions()]
        for reason in ("Fetching", "SignatureInvalid")
    }
    assert states == {
        "Fetching": [("Ready", "False"), ("Reconciling", "True"), ("Stalled", "False")],
        "SignatureInvalid": [("Ready", "False"), ("Reconciling", "False"), ("Stalled", "True")],
    }
