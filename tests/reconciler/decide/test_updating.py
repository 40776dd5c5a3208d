"""Whether a service moves to a newer release, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.decide.updating import (
    Ask,
    Bad,
    Choice,
    Failed,
    Going,
    Good,
    Kept,
    Move,
    Stay,
    Trial,
    Wanted,
    begun,
    decide,
    failed,
    goes_back,
    judge,
    looked,
    note,
    over,
)

OLD, NEW, NEWEST = Choice("a" * 40, "v1.0.0"), Choice("b" * 40, "v1.1.0"), Choice("c" * 40, "v1.2.0")
NOWHERE = Choice("d" * 40)
FAILURE = Failed("HealthyDeadlineExceeded: not ready", ran=True)
FREE = Wanted(OLD, approved=True, keeps="")
NOW, DEADLINE = 1_800_000_000.0, 60.0
TRIAL = Trial(OLD, NEW, NOW)


@pytest.mark.parametrize(
    ("wanted", "offered", "step"),
    [
        (FREE, NEW, Move(NEW)),
        (FREE, OLD, Stay()),
        (FREE, None, Stay()),
        (replace(FREE, here=NEW), OLD, Stay()),
        (replace(FREE, here=None), NEW, Stay()),
        # The same version on another commit: somebody moved the tag.
        (FREE, Choice("e" * 40, "v1.0.0"), Stay()),
        (replace(FREE, due=False), NEW, Stay()),
        (replace(FREE, due=False, asked=True), NEW, Move(NEW)),
        (replace(FREE, here=NEW, asked=True), OLD, Stay()),
    ],
)
def test_it_moves_to_what_is_newer(wanted: Wanted, offered: Choice | None, step: object) -> None:
    assert decide(wanted, offered, Kept()) == step


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (replace(FREE, approved=False), "approve: ask"),
        (replace(FREE, keeps="it keeps files in data/a"), "it keeps files in data/a"),
        (replace(FREE, keeps=None), "nobody could look"),
        (replace(FREE, here=NOWHERE), "no release"),
    ],
)
def test_somebody_is_asked(wanted: Wanted, why: str) -> None:
    step = decide(wanted, NEW, Kept())
    assert isinstance(step, Ask) and step.to == NEW and why in step.why
    assert decide(replace(wanted, asked=True), NEW, Kept()) == Move(NEW)


CHOICES = st.builds(
    Choice, st.sampled_from("abcdef"), st.sampled_from(["", "v1.0.0", "1.2.0", "v2.0.0-rc.1", "v10.0.0"])
)
BADS = st.builds(Bad, CHOICES, st.just("why"))
KEPT = st.builds(Kept, bad=st.lists(BADS, max_size=4).map(tuple))
WANTED = st.builds(
    Wanted,
    st.none() | CHOICES,
    approved=st.booleans(),
    keeps=st.sampled_from([None, "", "it keeps files"]),
    due=st.booleans(),
    asked=st.booleans(),
)


@given(WANTED, st.none() | CHOICES, KEPT)
def test_what_never_happens(wanted: Wanted, offered: Choice | None, kept: Kept) -> None:
    step = decide(wanted, offered, kept)
    assert decide(wanted, offered, replace(kept, trial=TRIAL)) == Stay(), "one at a time"
    if isinstance(step, Stay):
        return
    here = wanted.here
    assert step.to == offered and here is not None
    assert here.version is None or (step.to.version and step.to.version > here.version), "never down"
    if isinstance(step, Move) and not wanted.asked:
        assert not kept.is_bad(step.to), "never what was bad"
        assert wanted.keeps == "", "never with data without being asked"
        assert wanted.approved and wanted.due and here.version is not None


@given(st.lists(st.tuples(CHOICES, st.booleans()), max_size=12))
def test_it_ends_at_a_release_that_works_whatever_is_offered(offers: list[tuple[Choice, bool]]) -> None:
    """A model of what the driver does: whatever failed is never run again."""
    here, kept, ran_bad = Choice("0", "v0.1.0"), Kept(), set()
    for offered, works in offers:
        step = decide(replace(FREE, here=here), offered, kept)
        kept = looked(kept, step, NOW)
        if isinstance(step, Move):
            assert step.to.at not in ran_bad
            kept = begun(kept, here, step.to, NOW)
            if works:
                here, kept = step.to, over(kept)
            else:
                ran_bad.add(step.to.at)
                kept = over(failed(kept, FAILURE, back=True))
    assert here.at not in ran_bad


# -- how it does


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def entry(*conditions: dict[str, Any], observed: str = "new", suspended: bool = False) -> dict[str, Any]:
    return {
        "observedRevision": observed,
        "desiredRevision": "new",
        "suspended": suspended,
        "conditions": list(conditions),
    }


READY = condition("Ready", "True", "Ready")
LOOPS = condition("Ready", "False", "CrashLoopBackOff", "exited with status 1")
EXCEEDED = condition("Stalled", "True", "HealthyDeadlineExceeded", "not ready in 60 s")
STARTING = condition("Reconciling", "True", "Starting")
NOT_BUILT = condition("Reconciling", "True", "BuildFailed", "npm says no; will be tried again")


@pytest.mark.parametrize(
    ("told", "after", "finding"),
    [
        (None, 1, Going()),
        (entry(), 1, Going(NOW + DEADLINE)),
        # Ready is good enough once it has stayed so until the deadline.
        (entry(READY), 1, Going(NOW + DEADLINE)),
        (entry(READY), 61, Good()),
        (entry(READY, STARTING, observed="old"), 61, Going()),
        (
            entry(READY, EXCEEDED, observed="old"),
            1,
            Failed("HealthyDeadlineExceeded: not ready in 60 s", True),
        ),
        (entry(LOOPS), 1, Failed("CrashLoopBackOff: exited with status 1", True)),
        (entry(condition("Ready", "False", "Failed", "exited")), 1, Failed("Failed: exited", True)),
        (entry(condition("Ready", "False", "Completed")), 1, Good()),
        (entry(READY, NOT_BUILT, observed="old"), 1, Going(NOW + DEADLINE)),
        (
            entry(READY, NOT_BUILT, observed="old"),
            61,
            Failed("BuildFailed: npm says no; will be tried again", False),
        ),
        (entry(condition("Reconciling", "True", "DependencyNotReady")), 600, Going()),
        (entry(EXCEEDED, suspended=True), 600, Going()),
        # The clock was set back by a day.
        (entry(READY), -86400, Going(NOW - 86400 + DEADLINE)),
    ],
)
def test_how_a_trial_does(told: dict[str, Any] | None, after: float, finding: object) -> None:
    assert judge(TRIAL, told, DEADLINE, NOW + after) == finding


@pytest.mark.parametrize("old", [EXCEEDED, LOOPS, condition("Ready", "False", "Completed")])
def test_what_was_so_before_is_not_about_it(old: dict[str, Any]) -> None:
    assert judge(TRIAL, entry(old), DEADLINE, NOW + 1, before=[dict(old)]) == Going(NOW + DEADLINE)
    assert judge(TRIAL, entry(old), DEADLINE, NOW + 61, before=[dict(old)]) != Going(inf)


@pytest.mark.parametrize(
    ("ran", "keeps", "back"),
    [
        (True, "", True),
        (True, "files", False),
        (True, None, False),
        (False, "files", True),
        (False, None, True),
    ],
)
def test_data_that_it_may_have_changed_keeps_it_there(ran: bool, keeps: str | None, back: bool) -> None:
    assert goes_back(Failed("why", ran), keeps) is back


# -- what is told


def test_what_a_person_is_told() -> None:
    assert note(Kept(), OLD, "a") is None
    waits = looked(Kept(), Ask(NEW, "it keeps files"), NOW)
    told = note(waits, OLD, "a")
    assert told is not None and told.reason == "UpdateAvailable"
    assert told.message == "1.1.0 is there, and waits (it keeps files): `atek update a`"
    assert note(waits, NEW, "a") is None
    trial = begun(waits, OLD, NEW, NOW)
    assert note(trial, NEW, "a") is None
    back = over(failed(trial, FAILURE, back=True))
    told = note(back, OLD, "a")
    assert told is not None and told.reason == "Reverted"
    assert "1.1.0 did not work (HealthyDeadlineExceeded: not ready); 1.0.0 is back" in told.message
    assert note(back, NEWEST, "a") is None, "it is over once it has a newer one"
    stays = failed(trial, FAILURE, back=False)
    told = note(stays, NEW, "a")
    assert told is not None and told.reason == "UpdateFailed" and "version: 1.0.0" in told.message


def test_what_a_person_asks_for_is_bad_no_more_until_it_fails_again() -> None:
    bad = over(failed(begun(Kept(), OLD, NEW, NOW), FAILURE, back=True))
    assert decide(FREE, NEW, bad) == Stay()
    assert decide(replace(FREE, asked=True), NEW, bad) == Move(NEW)
    assert begun(bad, OLD, NEW, NOW).bad == ()


def test_so_many_bad_ones_are_remembered_and_no_more() -> None:
    kept = Kept()
    for number in range(100):
        choice = Choice(str(number), f"v1.{number}.0")
        kept = over(failed(begun(kept, OLD, choice, NOW), FAILURE, back=True))
    assert len(kept.bad) == 20 and kept.is_bad(Choice("99"))
