"""Where somebody is to be asked first, nothing goes back by itself with data that may have changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.decide.history import History, Preparation, Rollout
from reconciler.decide.lifecycle import State
from reconciler.decide.world import Stalled
from tests.reconciler.decide.decisions import decide, instance, summary
from tests.reconciler.decide.worlds import service

ASK = {"update": {"onFailure": "ask"}}
A, B, C = (service(marker, **ASK) for marker in "abc")


def late(kept: str | None, **more: Any) -> History:
    """B ran, and its deadline is over."""
    return History(healthy=A, rollout=Rollout(B.revision, since=0.0, kept=kept), **more)


def given_up(kept: str | None = "a file") -> History:
    return decide(B, history=late(kept), keeps=None).history


@pytest.mark.parametrize("kept", ["a file", None])
def test_what_may_have_changed_its_data_is_followed_by_nothing(kept: str | None) -> None:
    decision = decide(B, instance("new", B, State.STARTING), history=late(kept), keeps=None)
    assert summary(decision) == ["stop new HealthyDeadlineExceeded"]
    assert isinstance(decision.outcome, Stalled)
    told = decision.outcome.verdict.message
    assert f"may not fit revision {A.revision}" in told and "`atek start app`" in told
    after = decide(B, history=decision.history, keeps=None)
    assert summary(after) == [] and isinstance(after.outcome, Stalled)
    assert summary(decide(B, history=replace(decision.history, rejected=None), keeps=None)) == ["start b/0"]


def test_what_kept_nothing_goes_back() -> None:
    assert summary(decide(B, history=late(""), keeps=None)) == ["start a/0"]


def test_nobody_is_asked_who_did_not_say_so() -> None:
    a, b = service("a"), service("b")
    history = History(healthy=a, rollout=Rollout(b.revision, since=0.0, kept="a file"))
    assert summary(decide(b, history=history, keeps=None)) == ["start a/0"]
    # Nor once nobody is to be asked any more.
    assert summary(decide(b, history=replace(given_up(), healthy=a), keeps=None)) == ["start a/0"]


def test_what_still_runs_goes_on() -> None:
    old = instance("old", A)
    decision = decide(B, old, instance("new", B, State.STARTING, slot=0), history=late("a file"), keeps=None)
    assert "stop new HealthyDeadlineExceeded" in summary(decision)
    assert not any("old" in each for each in summary(decision))


def test_the_next_one_is_waited_for() -> None:
    image = {"image": "x", **ASK}
    a, b, c = (service(marker, runtime="docker", **image) for marker in "abc")
    done = {each.revision: Preparation(done=True) for each in (a, b)}
    history = History(healthy=a, rollout=Rollout(b.revision, since=0.0, kept="a file"), preparations=done)
    history = decide(b, history=history, keeps=None).history
    decision = decide(c, history=history, keeps=None)
    assert summary(decision) == ["prepare c"], "and meanwhile the old one is not started"
    ready = replace(decision.history, preparations={**done, c.revision: Preparation(done=True)})
    decision = decide(c, history=ready, keeps=None)
    assert summary(decision) == ["start c/0"]
    healthy = decide(c, instance("next", c), history=decision.history, keeps=None).history
    assert healthy.back and healthy.healthy == c


def test_who_is_declared_again_runs_again() -> None:
    decision = decide(A, history=given_up(), keeps=None)
    assert summary(decision) == ["start a/0"]
    assert decide(A, instance("old", A), history=decision.history, keeps=None).history.back


def test_what_it_kept_is_what_there_was_when_the_new_one_began() -> None:
    a, b = (service(each, update={"onFailure": "ask", "strategy": "recreate"}) for each in "ab")
    asked = decide(b, instance("old", a), history=History(healthy=a), keeps=None)
    assert summary(asked) == ["look at a"], "also where its author says how it is replaced"
    stopped = decide(b, instance("old", a), history=History(healthy=a), keeps="a file")
    started = decide(b, history=stopped.history, keeps=None)
    assert started.history.rollout == Rollout(b.revision, since=100.0, kept="a file")
