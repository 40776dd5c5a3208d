"""Crashes and ends of programs: how long the next start waits, and what people read meanwhile."""

from __future__ import annotations

import pytest

from reconciler.decide.backoff import after_exit
from reconciler.decide.conditions import Verdict
from reconciler.decide.history import Completed, History
from reconciler.decide.world import Failed, Settled
from runtimes.base import Exit
from tests.reconciler.decide.decisions import A, decide, ready, summary
from tests.reconciler.decide.worlds import service


def test_the_first_crash_is_replaced_at_once_and_the_next_ones_wait_longer() -> None:
    history, waits = History(healthy=A), []
    for _ in range(13):
        history = after_exit(history, A, 0, Exit(code=1), now=0.0, ready_for=0.0, jitter=0.0, per_minute=600)
        waits.append(history.not_before)
    assert waits[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == 60.0
    again = after_exit(history, A, 0, Exit(code=1), now=0.0, ready_for=60.0, jitter=0.0, per_minute=600)
    assert again.not_before == 0.0


def test_what_never_was_ready_waits_although_any_readiness_is_a_fresh_start() -> None:
    touchy, waits = service("a", restart={"resetAfter": 0}), []
    history = History()
    for ready_for in (0.0, 0.0, 0.0, 0.01):
        history = after_exit(
            history, touchy, 0, Exit(code=1), now=0.0, ready_for=ready_for, jitter=0.0, per_minute=600
        )
        waits.append(history.not_before)
    assert waits == [0.0, 0.1, 0.2, 0.0]


def test_crash_loop_backoff_says_why_and_when() -> None:
    history = History(healthy=A)
    for _ in range(4):
        history = after_exit(
            history, A, 0, Exit(code=3), now=100.0, ready_for=0.0, jitter=0.0, per_minute=600
        )
    decision = decide(A, history=history, now=100.1)
    assert summary(decision) == []
    told = f"{history.describe_crashes()}; `atek logs app` shows its output"
    assert decision.outcome == Failed(100.4, Verdict("CrashLoopBackOff", told))
    assert ready(decision) == ("False", "CrashLoopBackOff")
    assert "exited with status 3, 4 times in a row; waits 400ms" in decision.conditions[0].message
    assert summary(decide(A, history=history, now=100.4)) == ["start a/0"]


def test_what_ended_it_is_the_reason_while_it_waits() -> None:
    history = History(healthy=A)
    for _ in range(2):
        history = after_exit(
            history, A, 0, Exit(signal=9, why="OOMKilled"), now=0.0, ready_for=0.0, jitter=0.0, per_minute=600
        )
    decision = decide(A, history=history, now=0.05)
    assert ready(decision) == ("False", "OOMKilled")
    assert decision.conditions[0].message.startswith("killed by signal 9 (SIGKILL), 2 times in a row")
    history = after_exit(history, A, 0, Exit(code=1), now=0.1, ready_for=0.0, jitter=0.0, per_minute=600)
    assert ready(decide(A, history=history, now=0.15)) == ("False", "CrashLoopBackOff")


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ("always", 0, ["start a/0"]),
        ("always", 1, ["start a/0"]),
        ("onFailure", 0, []),
        ("onFailure", 1, ["start a/0"]),
        ("never", 0, []),
        ("never", 1, []),
    ],
)
def test_restart_policies(policy: str, code: int, expected: list[str]) -> None:
    job = service("a", restart={"policy": policy})
    history = after_exit(
        History(), job, 0, Exit(code=code), now=100.0, ready_for=0.0, jitter=0.0, per_minute=600
    )
    assert summary(decide(job, history=history)) == expected


def test_a_completed_program_is_settled_and_its_next_revision_runs() -> None:
    job, next_job = (service(marker, restart={"policy": "never"}) for marker in "ab")
    history = History(completed={0: Completed(job.revision, True, "exited with status 0")})
    done = decide(job, history=history)
    assert done.outcome == Settled()
    assert ready(done) == ("False", "Completed")
    assert summary(decide(next_job, history=history)) == ["start b/0"]


@pytest.mark.parametrize("slots", [1, 3])
def test_what_works_for_a_moment_each_time_is_replaced_only_so_often(slots: int) -> None:
    """Each crash is a first one: without a bound it would be replaced at once for ever."""
    touchy = service("a", restart={"resetAfter": "100ms", "perMinute": 5}, replicas=slots)
    history, now, starts, causes = History(), 1000.0, [], set()
    for _ in range(100):
        history = after_exit(
            history, touchy, 0, Exit(code=1), now=now, ready_for=0.2, jitter=0.0, per_minute=600
        )
        now = max(now, history.not_before) + 0.2
        starts.append(now)
        causes.add(history.last_failure)
    assert all(sum(at <= each < at + 60 for each in starts) <= 5 * slots + 1 for at in starts)
    assert any("times within a minute" in cause for cause in causes)
    other = service("a", restart={"resetAfter": "100ms"}, env={"NEW": "1"})
    again = after_exit(history, other, 0, Exit(code=1), now=now, ready_for=0.2, jitter=0.0, per_minute=5)
    assert again.not_before == now


def test_the_bound_is_the_nodes_where_the_manifest_says_none() -> None:
    history = History()
    for _ in range(3):
        history = after_exit(history, A, 0, Exit(code=1), now=50.0, ready_for=60.0, jitter=0.0, per_minute=2)
    assert history.not_before == 110.0
