"""A new revision that crashes again and again while nobody serves is given up before its requests are."""

from __future__ import annotations

from reconciler.decide.history import History, Rollout
from reconciler.decide.lifecycle import State
from reconciler.decide.progress import CRASHING, MANY_CRASHES
from reconciler.decide.world import Stalled
from tests.reconciler.decide.decisions import A, B, decide, instance, summary


def crashing(*, crashes: int = MANY_CRASHES, healthy: bool = True) -> History:
    return History(
        healthy=A if healthy else None,
        rollout=Rollout(B.revision, since=0.0),
        crashed=B.revision,
        crashes=crashes,
        not_before=1000.0,
        last_failure="exited with status 1",
    )


def test_it_goes_soon_and_the_old_one_comes_back() -> None:
    before = decide(B, history=crashing(), now=CRASHING - 0.1)
    assert before.history.rejected is None
    after = decide(B, history=crashing(), now=CRASHING)
    assert summary(after) == ["start a/0"]
    assert after.history.rejected
    assert isinstance(after.outcome, Stalled)
    assert "within 10s: exited with status 1" in after.outcome.verdict.message


def test_it_is_looked_at_again_by_then() -> None:
    starting = instance("new", B, State.STARTING, since=5.0)
    outcome = decide(B, starting, history=crashing(), now=6.0).outcome
    assert getattr(outcome, "at", None) == CRASHING


def test_all_others_have_their_whole_deadline() -> None:
    starting = instance("new", B, State.STARTING, since=5.0)
    late = CRASHING + 1
    # Somebody serves; it only takes long; it has crashed as it may; there is none to come back.
    assert not decide(B, instance("old", A), starting, history=crashing(), now=late).history.rejected
    slow = History(healthy=A, rollout=Rollout(B.revision, since=0.0))
    assert not decide(B, starting, history=slow, now=late).history.rejected
    assert not decide(B, starting, history=crashing(crashes=MANY_CRASHES - 1), now=late).history.rejected
    assert not decide(B, history=crashing(healthy=False), now=late).history.rejected
