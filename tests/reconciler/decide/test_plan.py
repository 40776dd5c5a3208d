"""What the planner decides, case by case, as a person would tell it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.decide.actions import Look
from reconciler.decide.backoff import after_exit
from reconciler.decide.conditions import Verdict
from reconciler.decide.history import History, Keeps, Preparation, Rejected, Rollout, asked_again
from reconciler.decide.lifecycle import State
from reconciler.decide.world import Failed, Instance, RetryAfter, Settled, Stalled
from runtimes.base import Exit
from tests.reconciler.decide.decisions import A, B, decide, instance, ready, summary
from tests.reconciler.decide.worlds import service


def test_a_new_service_starts_in_every_slot() -> None:
    assert summary(decide(service("a", replicas=3))) == ["start a/0", "start a/1", "start a/2"]


def test_what_runs_as_declared_is_left_alone() -> None:
    decision = decide(A, instance("i", A), history=History(healthy=A))
    assert decision.actions == ()
    assert decision.outcome == Settled()
    assert ready(decision) == ("True", "Ready")


def test_rolling_starts_the_new_beside_the_old() -> None:
    decision = decide(B, instance("old", A), history=History(healthy=A))
    assert summary(decision) == ["start b/0"]
    assert ready(decision)[0] == "True"


def test_rolling_stops_the_old_once_the_new_is_ready() -> None:
    decision = decide(B, instance("old", A), instance("new", B), history=History(healthy=A))
    assert summary(decision) == ["stop old Replaced"]
    assert decision.history.healthy is B


def test_rolling_moves_one_slot_at_a_time() -> None:
    a, b = service("a", replicas=2), service("b", replicas=2)
    old = [instance("old0", a), instance("old1", a, slot=1)]
    assert summary(decide(b, *old)) == ["start b/0"]
    assert summary(decide(b, *old, instance("new0", b, State.STARTING, since=99.0))) == []
    halfway = decide(b, *old, instance("new0", b))
    assert summary(halfway) == ["stop old0 Replaced", "start b/1"]


def test_recreate_stops_the_old_first() -> None:
    b = service("b", update={"strategy": "recreate"})
    assert summary(decide(b, instance("old", A))) == ["stop old Recreated"]
    assert summary(decide(b, instance("old", A, State.STOPPING, since=99.0))) == []
    assert summary(decide(b)) == ["start b/0"]


def test_a_fixed_port_leaves_no_room_for_two() -> None:
    a, b = service("a", port=8080), service("b", port=8080)
    assert summary(decide(b, instance("old", a))) == ["stop old Recreated"]


def test_a_newer_revision_does_not_wait_for_an_older_one_that_is_starting() -> None:
    starting = instance("i", A, State.STARTING, since=99.0)
    assert summary(decide(B, starting)) == ["stop i Superseded", "start b/0"]


def test_no_copy_starts_while_one_of_its_revision_is_still_leaving() -> None:
    assert summary(decide(A, instance("i", A, State.STOPPING, since=99.0))) == []


def test_prepares_before_anything_is_stopped() -> None:
    b = service("b", package=True, update={"strategy": "recreate"})
    decision = decide(b, instance("old", A), history=History(healthy=A))
    assert summary(decision) == ["prepare b"]
    running = History(healthy=A, preparations={b.revision: Preparation()})
    assert summary(decide(b, instance("old", A), history=running)) == []


def test_what_served_before_is_prepared_once_when_the_node_comes_back() -> None:
    """It is what is declared and what was healthy, both, and nothing of it runs."""
    a = service("a", package=True)
    assert summary(decide(a, history=History(healthy=a))) == ["prepare a"]


def test_the_old_revision_is_replaced_while_the_new_one_is_prepared() -> None:
    b = service("b", package=True)
    history = History(healthy=A, preparations={b.revision: Preparation()})
    assert summary(decide(b, history=history)) == ["start a/0"]


def test_a_failed_preparation_is_tried_again_later_and_changes_nothing() -> None:
    b = service("b", package=True)
    failed = Preparation(failure=Verdict("PrepareFailed", "npm install failed"), retry_at=110.0)
    history = History(healthy=A, preparations={b.revision: failed})
    decision = decide(b, instance("old", A), history=history)
    assert summary(decision) == []
    assert decision.outcome == Failed(110.0, Verdict("PrepareFailed", "npm install failed"))
    assert "npm install failed" in decision.conditions[1].message
    assert decision.conditions[0].message.startswith("the previous revision serves; PrepareFailed: npm ins")
    assert summary(decide(b, instance("old", A), history=history, now=110.0)) == ["prepare b"]


def test_a_permanently_failed_preparation_stalls() -> None:
    b = service("b", package=True)
    failed = Preparation(failure=Verdict("NoEntryPoint", "nothing to run"), permanent=True)
    decision = decide(b, instance("old", A), history=History(healthy=A, preparations={b.revision: failed}))
    assert decision.outcome == Stalled(Verdict("NoEntryPoint", "nothing to run"))
    assert decision.actions == ()
    assert decision.conditions[0].message == "the previous revision serves; NoEntryPoint: nothing to run"


def test_a_newer_wish_cancels_the_preparation_of_an_older_one() -> None:
    b, c = service("b", package=True), service("c", package=True)
    assert summary(decide(c, history=History(preparations={b.revision: Preparation()}))) == [
        "cancel",
        "prepare c",
    ]


def test_healthy_deadline_takes_the_revision_down_and_the_old_one_serves_on() -> None:
    history = History(healthy=A, rollout=Rollout(B.revision, since=40.0))
    new = instance("new", B, State.STARTING, since=40.0)
    before = decide(B, instance("old", A), new, history=history, now=99.0)
    assert summary(before) == []
    assert before.outcome == RetryAfter(100.0)
    decision = decide(B, instance("old", A), new, history=history, now=100.0)
    assert summary(decision) == ["stop new HealthyDeadlineExceeded"]
    assert isinstance(decision.outcome, Stalled)
    assert decision.outcome.verdict.reason == "HealthyDeadlineExceeded"
    assert "accepts no connection" in decision.outcome.verdict.message
    assert ready(decision) == ("True", "Ready")


def test_a_rejected_revision_is_not_tried_again_until_something_changes() -> None:
    verdict = Verdict("HealthyDeadlineExceeded", "was not ready within 1m")
    history = History(healthy=A, rejected=Rejected(B.revision, verdict))
    assert summary(decide(B, instance("old", A), history=history)) == []
    assert summary(decide(B, history=history)) == ["start a/0"]
    c = service("c")
    assert summary(decide(c, instance("old", A), history=history)) == ["start c/0"]
    asked = asked_again(history)
    assert summary(decide(B, instance("old", A), history=asked)) == ["start b/0"]


def test_after_a_rejected_recreate_the_old_revision_comes_back() -> None:
    b = service("b", update={"strategy": "recreate"})
    history = History(healthy=A, rollout=Rollout(b.revision, since=0.0))
    new = instance("new", b, State.STARTING)
    first = decide(b, new, history=history)
    assert summary(first) == ["stop new HealthyDeadlineExceeded"]
    assert summary(decide(b, history=first.history)) == ["start a/0"]


def test_what_was_kept_is_looked_at_before_anything_is_stopped_or_started() -> None:
    decision = decide(B, instance("old", A), history=History(healthy=A), keeps=None)
    assert summary(decision) == ["look at a"]
    # Not before the new revision could run.
    b = service("b", package=True)
    assert summary(decide(b, instance("old", A), history=History(healthy=A), keeps=None)) == ["prepare b"]


def test_a_service_that_has_kept_something_has_one_writer() -> None:
    keeps = "it keeps files in data/app"
    first = decide(B, instance("old", A), history=History(healthy=A), keeps=keeps)
    assert summary(first) == ["stop old Recreated"]
    leaving = instance("old", A, State.STOPPING, since=99.0)
    assert summary(decide(B, leaving, history=first.history, keeps=None)) == []
    assert summary(decide(B, history=first.history, keeps=None)) == ["start b/0"]


def test_its_author_may_have_two_writers_all_the_same() -> None:
    b = service("b", update={"strategy": "rolling"})
    assert summary(decide(b, instance("old", A), keeps=None)) == ["start b/0"]


@pytest.mark.parametrize(("before", "after"), [("", "a file"), ("a file", "")])
def test_the_strategy_does_not_change_while_an_update_runs(before: str, after: str) -> None:
    two, three = service("b", replicas=2), service("c", replicas=2)
    old = [instance("old0", A), instance("old1", A, slot=1)]
    begun = decide(two, *old, history=History(healthy=A), keeps=before)
    half = [instance("new0", two), old[1]]
    assert not any(isinstance(a, Look) for a in decide(two, *half, history=begun.history, keeps=None).actions)
    # The next update finds what there is by then, also where it comes before the end of this one.
    newer = decide(three, *half, history=begun.history, keeps=after)
    assert newer.history.keeps == Keeps(three.revision, after)
    over = decide(two, instance("new0", two), instance("new1", two, slot=1), history=begun.history)
    assert over.history.keeps is None


def test_a_rejection_says_all_that_a_program_said_last() -> None:
    said = "exited with status 1: Error: no such table: a; b (run migrate; then start)"
    history = History(
        healthy=A, rollout=Rollout(B.revision, since=0.0), crashed=B.revision, crashes=2, last_failure=said,
        delay=0.4,
    )  # fmt: skip
    decision = decide(B, instance("old", A), instance("new", B, State.STARTING), history=history)
    assert isinstance(decision.outcome, Stalled)
    assert f": {said}, 2 times in a row; `atek logs" in decision.outcome.verdict.message


def test_the_way_back_is_the_way_there() -> None:
    history = History(healthy=A, rollout=Rollout(B.revision, since=0.0), keeps=Keeps(B.revision, "a file"))
    rejected = decide(B, instance("new", B, State.STARTING), history=history, keeps=None)
    assert summary(rejected) == ["stop new HealthyDeadlineExceeded"]
    leaving = instance("new", B, State.STOPPING, since=100.0)
    assert summary(decide(B, leaving, history=rejected.history, keeps=None)) == []
    assert summary(decide(B, history=rejected.history, keeps=None)) == ["start a/0"]


def test_what_is_away_for_a_moment_waits_for_its_last_writer() -> None:
    leaving = Instance("i", A, 0, State.STOPPING, 99.0, ready_since=0.0)
    history = History(healthy=A)
    assert summary(decide(A, leaving, history=history, keeps="a file")) == []
    assert summary(decide(A, leaving, history=history, keeps="")) == ["start a/0"]
    assert summary(decide(A, leaving, leaving, history=history, keeps="")) == []


def test_after_a_rejection_a_recreated_service_waits_until_the_rejected_revision_is_gone() -> None:
    a, b = (service(marker, update={"strategy": "recreate"}) for marker in "ab")
    history = History(healthy=a, rollout=Rollout(b.revision, since=0.0))
    rejected = decide(b, instance("new", b, State.STARTING), history=history)
    assert summary(rejected) == ["stop new HealthyDeadlineExceeded"]
    still_there = instance("new", b, State.STOPPING, since=100.0)
    assert summary(decide(b, still_there, history=rejected.history)) == []
    assert summary(decide(b, history=rejected.history)) == ["start a/0"]


def test_a_rejection_asks_for_no_second_copy_of_what_is_killed_at_the_same_moment() -> None:
    """The generated worlds found this one, too."""
    history = History(healthy=A, rollout=Rollout(B.revision, since=0.0))
    old = instance("old", A, State.STOPPING, since=0.0)
    assert summary(decide(B, old, history=history)) == ["kill old"]


def test_the_deadline_counts_from_the_last_progress() -> None:
    b = service("b", replicas=2)
    ready_one = instance("new0", b)
    starting = instance("new1", b, State.STARTING, slot=1, since=10.0)
    history = History(rollout=Rollout(b.revision, since=10.0))
    decision = decide(b, ready_one, starting, history=history, now=69.0)
    assert decision.history.rollout == Rollout(b.revision, since=69.0, ready=1)


def test_a_revision_that_was_healthy_once_is_replaced_but_never_rejected() -> None:
    hanging = instance("i", A, State.STARTING, since=40.0)
    decision = decide(A, hanging, history=History(healthy=A))
    assert summary(decision) == ["stop i StartTimedOut crash"]
    assert decision.history.rejected is None


def test_a_failing_probe_gets_the_instance_replaced() -> None:
    failing = replace(instance("i", A, State.FAILING), complaint="its liveness probe fails: 500")
    assert summary(decide(A, failing, history=History(healthy=A))) == ["stop i ProbeFailed crash"]


def test_grace_period_ends_in_sigkill() -> None:
    stopping = instance("i", A, State.STOPPING, since=95.0)
    assert decide(None, stopping).outcome == RetryAfter(105.0)
    assert summary(decide(None, stopping, now=105.0)) == ["kill i"]


def test_requests_in_flight_have_until_the_drain_timeout() -> None:
    slow = service("a", update={"drainTimeout": "20s"})
    draining = instance("i", slow, State.DRAINING, since=95.0)
    waiting = decide(slow, draining, suspended=True)
    assert (summary(waiting), waiting.outcome) == ([], RetryAfter(115.0))
    assert waiting.conditions[1].reason == "Draining"
    assert summary(decide(None, draining, now=115.0)) == ["end drain i DrainTimeoutExceeded"]
    assert summary(decide(None, draining, now=115.0, observed=False)) == ["end drain i DrainTimeoutExceeded"]


def test_what_drains_serves_again_when_it_is_wanted_again() -> None:
    draining = instance("i", A, State.DRAINING, since=95.0)
    assert summary(decide(A, draining, history=History(healthy=A))) == ["resume i"]
    assert summary(decide(B, draining)) == ["start b/0"]


def test_a_recreated_service_drains_before_the_next_revision_starts() -> None:
    b = service("b", update={"strategy": "recreate"})
    assert summary(decide(b, instance("i", A))) == ["stop i Recreated"]
    assert summary(decide(b, instance("i", A, State.DRAINING, since=95.0))) == []


def test_dependencies_hold_the_first_start_only() -> None:
    held = decide(A, waiting_for=("db to be ready",))
    assert summary(held) == []
    assert held.conditions[0].message == "waits for db to be ready"
    crashed = after_exit(
        History(healthy=A), A, 0, Exit(code=1), now=100.0, ready_for=5.0, jitter=0.0, per_minute=600
    )
    assert summary(decide(A, history=crashed, waiting_for=("db to be ready",))) == ["start a/0"]


def test_suspended_stops_and_stays_stopped() -> None:
    assert summary(decide(A, instance("i", A), suspended=True)) == ["stop i Suspended"]
    decision = decide(A, suspended=True)
    assert decision.outcome == Settled()
    assert ready(decision) == ("False", "Suspended")


def test_undeclared_is_pruned_and_unknown_is_not() -> None:
    assert summary(decide(None, instance("i", A))) == ["stop i Pruned"]
    assert summary(decide(None, instance("i", A), known=False)) == []
    assert decide(None).gone
    assert not decide(None, known=False).gone


def test_a_problem_keeps_what_runs_and_stalls() -> None:
    problem = Verdict("SourceNotFound", "/app is not there")
    decision = decide(None, instance("i", A), problem=problem, history=History(healthy=A))
    assert summary(decision) == []
    assert decision.outcome == Stalled(problem)
    assert summary(decide(None, problem=problem, history=History(healthy=A))) == ["start a/0"]


def test_unobserved_is_not_absent() -> None:
    decision = decide(A, observed=False)
    assert summary(decision) == []
    assert ready(decision) == ("Unknown", "Unobservable")


def test_shutdown_stops_dependents_first() -> None:
    assert summary(decide(A, instance("i", A), shutdown=True, held_by=("web",))) == []
    assert summary(decide(A, instance("i", A), shutdown=True)) == ["stop i NodeStopping"]


def test_scaling_stops_the_surplus() -> None:
    a = service("a", replicas=1)
    two = [instance("i0", a), instance("i1", a, slot=1)]
    assert summary(decide(a, *two, history=History(healthy=a))) == ["stop i1 ScaledDown"]
    assert summary(decide(service("a", replicas=0), *two)) == ["stop i0 ScaledDown", "stop i1 ScaledDown"]


def test_what_became_healthy_just_now_ends_the_preparation_of_what_was() -> None:
    """With no replicas wanted a revision is healthy at once; the generated worlds found this one."""
    nobody, old = service("a", replicas=0), service("b", package=True)
    history = History(healthy=old, preparations={old.revision: Preparation()})
    decision = decide(nobody, history=history)
    assert summary(decision) == ["cancel"]
    assert decision.history.healthy is nobody
