"""What is done with a commit, and how its source fares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from manifests.model.git_source import GitSource
from manifests.model.snapshot import Problem
from reconciler.gitops.decide import (
    Applied,
    Before,
    Fare,
    Kept,
    Settling,
    Trouble,
    apply,
    before_of,
    conditions_of,
    fare,
    hold,
    is_new,
    objection,
    revert,
)  # fmt: skip

NOW = 1000.0


def spec(**values: Any) -> GitSource:
    return GitSource.model_validate({"name": "home", "url": "/srv/home.git", **values})


def applied(commit: str, *services: str) -> Applied:
    return Applied(commit, f"main@{commit}", "Ann", "Something", 1.0, 2.0, "", services, "refs/heads/main")


def entry(
    ready: str = "True", stalled: str = "False", reason: str = "", *, desired: str = "r2", runs: str = "r2",
    strategy: str = "rolling",
) -> dict[str, Any]:  # fmt: skip
    return {
        "desiredRevision": desired,
        "observedRevision": runs if ready == "True" else None,
        "suspended": False,
        "update": {"strategy": strategy, "because": ""},
        "instances": [{"revision": runs}] if runs else [],
        "conditions": [
            {"type": "Ready", "status": ready, "reason": reason, "message": "m"},
            {"type": "Stalled", "status": stalled, "reason": reason, "message": "m"},
        ],
    }


def settled(*services: str) -> Kept:
    return Kept(applied=applied("a", *services))


def test_a_commit_is_new_once() -> None:
    assert is_new(Kept(), "a")
    assert not is_new(settled("x"), "a")
    assert is_new(settled("x"), "b")
    held = hold(settled("x"), "b", "main@b", "InvalidManifests", "oh", NOW)
    assert not is_new(held, "b")
    assert is_new(held, "c")
    # The ref went back to what is applied.
    assert not is_new(held, "a")


def test_one_broken_file_keeps_the_whole_commit_away() -> None:
    problems = [Problem("is wrong", f"home:{number}.yaml") for number in range(5)]
    found = objection(spec(), settled("x"), problems, ["y"])
    assert found is not None
    assert found[0] == "InvalidManifests"
    assert "home:0.yaml: is wrong" in found[1]
    assert found[1].endswith("and 2 more")


def test_what_the_policy_forbids_has_its_own_reason() -> None:
    found = objection(spec(), Kept(), [Problem("no", reason="PolicyForbids")], [])
    assert found == ("PolicyForbids", "no")


@pytest.mark.parametrize("kept", [settled("x"), Kept(previous=applied("a", "x"))])
def test_nothing_at_all_needs_to_be_allowed(kept: Kept) -> None:
    assert (objection(spec(), kept, [], []) or ("",))[0] == "Empty"
    assert objection(spec(allowEmpty=True), kept, [], []) is None
    assert objection(spec(prune=False), kept, [], []) is None
    assert objection(spec(), Kept(), [], []) is None


def test_what_a_commit_no_longer_has_is_pruned_or_left() -> None:
    new = applied("b", "y")
    assert apply(spec(), settled("x", "y"), new, {}).pruned == ("x",)
    left = apply(spec(prune=False), settled("x", "y"), new, {})
    assert (left.pruned, left.left) == ((), {"x": "a"})
    # Later it is still the first commit that says what it is, until one has it again.
    assert apply(spec(prune=False), left, applied("c", "y"), {}).left == {"x": "a"}
    assert apply(spec(prune=False), left, applied("c", "x"), {}).left == {"y": "b"}
    # Someone prunes after all.
    assert apply(spec(), left, applied("c", "y"), {}).pruned == ("x",)


def test_what_is_gone_back_to_is_what_was_ready_last() -> None:
    first = apply(spec(), settled("x"), applied("b", "x"), {})
    assert first.previous and first.previous.commit == "a"
    second = apply(spec(), first, applied("c", "x"), {})
    assert second.previous and second.previous.commit == "a"
    third = apply(spec(), replace(second, settling=None, previous=None), applied("d", "x"), {})
    assert third.previous and third.previous.commit == "c"


def settling(*services: str, before: dict[str, Before] | None = None) -> Kept:
    return Kept(
        applied=applied("b", *services), previous=applied("a", *services), settling=Settling(before or {})
    )


def test_a_commit_is_ready_when_all_its_services_are() -> None:
    kept = settling("x", "y")
    assert fare(kept, {"x": entry(), "y": entry()}).ready
    waits = fare(kept, {"x": entry(), "y": entry("False")})
    assert (waits.ready, waits.waiting) == (False, ("y",))
    assert not fare(kept, {"x": entry(), "y": None}).ready
    assert not fare(kept, {"x": entry(), "y": entry(desired="r3")}).ready
    # Stopped by a person; and done with what it had to do.
    assert fare(
        kept, {"x": {**entry("False"), "suspended": True}, "y": entry("True", reason="Completed", runs="")}
    ).ready


def test_what_was_given_up_before_is_not_the_commits_fault() -> None:
    given_up = entry("False", "True", "CrashLoopBackOff")
    kept = settling("x", before={"x": before_of(given_up)})
    assert fare(kept, {"x": given_up}).failed == ""
    assert fare(kept, {"x": given_up | {"desiredRevision": "r3"}}).failed == "x"
    assert (
        fare(settling("x", before={"x": before_of(entry())}), {"x": given_up}).why == "is CrashLoopBackOff: m"
    )


def test_a_program_that_failed_and_is_not_restarted_counts() -> None:
    failed = entry("False", "False", "Failed")
    assert fare(settling("x", before={"x": before_of(None)}), {"x": failed}).failed == "x"


def test_who_keeps_data_stays_once_the_new_revision_ran() -> None:
    kept = settling("x", "data", "more")
    failed = entry("False", "True", "HealthyDeadlineExceeded", runs="")
    entries = {
        "x": failed,
        "data": entry(strategy="recreate"),
        "more": entry(strategy="recreate", runs="r1", ready="False"),
    }
    found = fare(kept, entries)
    assert found.failed == "x"
    assert found.staying == {"data"}
    # What was never started has written nothing.
    not_run = entry("False", "True", "PrepareFailed", runs="", strategy="recreate")
    assert fare(settling("x"), {"x": not_run}).staying == frozenset()
    ran = entry("False", "True", "HealthyDeadlineExceeded", runs="", strategy="recreate")
    assert fare(settling("x"), {"x": ran}).staying == {"x"}


def test_a_revert_says_why_and_is_not_tried_again() -> None:
    kept = revert(settling("x", "data"), "x", "is CrashLoopBackOff: m", {"data"}, NOW)
    assert kept.applied and kept.applied.commit == "a"
    assert not is_new(kept, "b")
    assert kept.staying == ("data",)
    ready, _, stalled = conditions_of(spec(), kept, None)
    assert (ready.status, stalled.status, stalled.reason) == ("False", "True", "Reverted")
    assert (
        "main@b was taken back: x is CrashLoopBackOff: m; main@a is applied again, but for data"
        in ready.message
    )


@pytest.mark.parametrize(
    ("kept", "trouble", "fares", "busy", "ready", "reconciling", "stalled"),
    [
        (Kept(), None, None, False, "Unknown", "True", "False"),
        (settled("x"), None, None, False, "True", "False", "False"),
        (settled("x"), None, None, True, "True", "True", "False"),
        (settled("x"), Trouble("ServerUnreachable", "", passing=True), None, False, "False", "True", "False"),
        (settled("x"), Trouble("CredentialsRefused", ""), None, False, "False", "False", "True"),
        (settling("x"), None, Fare(waiting=("x",)), False, "Unknown", "True", "False"),
        (settling("x"), None, Fare(failed="x", why="is"), False, "False", "True", "False"),
        (hold(settled("x"), "b", "r", "Empty", "", NOW), None, None, False, "False", "False", "True"),
    ],
)
def test_conditions(
    kept: Kept,
    trouble: Trouble | None,
    fares: Fare | None,
    busy: bool,
    ready: str,
    reconciling: str,
    stalled: str,
) -> None:
    found = conditions_of(spec(), kept, trouble, fares, busy=busy)
    assert [each.status for each in found] == [ready, reconciling, stalled]
    assert conditions_of(spec(suspend=True), kept, trouble)[0].reason == "Suspended"
