"""Safety of the planner over generated worlds. Each property has a name; each must hold in every world."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from reconciler.decide.actions import Action, CancelPrepare, EndDrain, Look, Prepare, Resume, Start, Stop
from reconciler.decide.history import Preparation
from reconciler.decide.lifecycle import State
from reconciler.decide.plan import plan
from reconciler.decide.strategy import choose, depends_on_what_it_keeps
from reconciler.decide.world import Decision, Failed, RetryAfter, Stalled, World
from tests.reconciler.decide.worlds import worlds


def starts(decision: Decision) -> list[Start]:
    return [action for action in decision.actions if isinstance(action, Start)]


def stops(decision: Decision, *, force: bool = False) -> list[Stop]:
    return [action for action in decision.actions if isinstance(action, Stop) and action.force == force]


def ended_drains(decision: Decision) -> list[str]:
    return [action.instance for action in decision.actions if isinstance(action, EndDrain)]


def one_writer(start: Start, decision: Decision) -> bool:
    keeps = decision.history.kept_for(start.service)
    return choose(start.service, keeps.what if keeps else "").strategy == "recreate"


def looks_before_it_decides(world: World, decision: Decision) -> None:
    """Nothing takes over from what runs before it is known whether that may be next to it."""
    looks = [action for action in decision.actions if isinstance(action, Look)]
    assert len(looks) <= 1
    for look in looks:
        assert not starts(decision)
        assert not any(stop.reason in ("Recreated", "Replaced") for stop in stops(decision))
        assert look.running in [instance.service for instance in world.instances]
    for start in starts(decision):
        known = decision.history.kept_for(start.service) is not None
        assert known or not world.instances or not depends_on_what_it_keeps(start.service)


def never_two_copies(world: World, decision: Decision) -> None:
    wanted = [(start.service.revision, start.slot) for start in starts(decision)]
    assert len(wanted) == len(set(wanted))
    for start in starts(decision):
        beside = [i for i in world.instances if (i.revision, i.slot) == (start.service.revision, start.slot)]
        assert len(beside) <= 1
        for instance in beside:
            assert instance.state in (State.STOPPING, State.KILLING)
            assert instance.fit and instance.ready_since is not None
            assert not one_writer(start, decision)


def takes_back_only_what_is_well_and_wanted(world: World, decision: Decision) -> None:
    by_id = {instance.id: instance for instance in world.instances}
    acted_on = [action.instance for action in decision.actions if isinstance(action, (Stop, EndDrain))]
    healthy = decision.history.healthy
    wanted = {service.revision for service in (world.service, healthy) if service}
    slots = {(i.revision, i.slot) for i in world.instances if i.live}
    for action in decision.actions:
        if isinstance(action, Resume):
            instance = by_id[action.instance]
            assert instance.state is State.DRAINING and instance.fit
            assert instance.revision in wanted and instance.id not in acted_on
            assert (instance.revision, instance.slot) not in slots
            assert not (world.suspended or world.shutdown)


def starts_nothing_beside_what_drains_and_is_well(world: World, decision: Decision) -> None:
    """Its requests in flight are no reason for another one: it can serve again itself."""
    draining = {(i.revision, i.slot) for i in world.instances if i.state is State.DRAINING and i.fit}
    assert not draining & {(start.service.revision, start.slot) for start in starts(decision)}


def never_acts_on_unknown(world: World, decision: Decision) -> None:
    absent = world.service is None and world.problem is None
    if not world.observed or (absent and not world.known and not (world.suspended or world.shutdown)):
        assert not starts(decision)
        assert not stops(decision)
        assert not decision.gone


def touches_only_what_it_was_shown(world: World, decision: Decision) -> None:
    by_id = {instance.id: instance for instance in world.instances}
    for stop in stops(decision):
        assert by_id[stop.instance].live
    for stop in stops(decision, force=True):
        assert by_id[stop.instance].leaving
    for ended in ended_drains(decision):
        assert by_id[ended].state is State.DRAINING
    stopped = [action.instance for action in decision.actions if isinstance(action, (Stop, EndDrain))]
    assert len(stopped) == len(set(stopped))


def stops_what_should_not_run(world: World, decision: Decision) -> None:
    if world.suspended or world.shutdown:
        assert not starts(decision)
        assert not any(isinstance(action, Prepare) for action in decision.actions)
    if (world.suspended or world.shutdown) and world.observed and not world.held_by:
        assert {stop.instance for stop in stops(decision)} == {i.id for i in world.instances if i.live}


def prepares_a_revision_once(world: World, decision: Decision) -> None:
    """Also one that is declared, was healthy before, and has to be prepared again after a restart."""
    asked = [action.service.revision for action in decision.actions if isinstance(action, Prepare)]
    assert len(asked) == len(set(asked))
    assert not any(decision.history.preparations.get(each) == Preparation() for each in asked)


def starts_only_what_is_prepared_and_due(world: World, decision: Decision) -> None:
    for start in starts(decision):
        assert decision.history.prepared(start.service)
        if decision.history.crashed == start.service.revision:
            assert world.now >= decision.history.not_before
        assert start.slot in range(start.service.manifest.replicas)


def starts_only_what_is_wanted(world: World, decision: Decision) -> None:
    healthy = decision.history.healthy
    wanted = {service.revision for service in (world.service, healthy) if service}
    assert {start.service.revision for start in starts(decision)} <= wanted
    rejected = decision.history.rejected
    if rejected:
        assert all(start.service.revision != rejected.revision for start in starts(decision)) or (
            healthy and healthy.revision == rejected.revision
        )


def keeps_the_old_until_the_new_is_ready(world: World, decision: Decision) -> None:
    """A ready instance is only stopped for a reason that a person would give."""
    reasons = {"Replaced", "ScaledDown", "Recreated", "Suspended", "Pruned", "NodeStopping"}
    by_id = {instance.id: instance for instance in world.instances}
    for stop in stops(decision):
        instance = by_id[stop.instance]
        if instance.state is State.READY:
            assert stop.reason in reasons | {"HealthyDeadlineExceeded", "Reason", "Other"}
        if stop.reason == "Replaced":
            assert (
                any(
                    i.live and i.revision != instance.revision and (i.ready or i.slot != instance.slot)
                    for i in world.instances
                )
                or decision.history.completed
            )


def recreates_one_after_the_other(world: World, decision: Decision) -> None:
    for start in starts(decision):
        if one_writer(start, decision):
            assert all(instance.revision == start.service.revision for instance in world.instances)


def looks_again_later(world: World, decision: Decision) -> None:
    if isinstance(decision.outcome, (RetryAfter, Failed)):
        assert decision.outcome.at > world.now


def insists_on_stops(world: World, decision: Decision) -> None:
    forced = {stop.instance for stop in stops(decision, force=True)}
    for instance in world.instances:
        if instance.state is State.STOPPING:
            over = world.now >= instance.since + instance.service.manifest.stop.grace_period
            assert (instance.id in forced) == over


def kills_nothing_that_was_not_asked_to_end(world: World, decision: Decision) -> None:
    forced = {stop.instance for stop in stops(decision, force=True)}
    asked = {i.id for i in world.instances if i.state in (State.STOPPING, State.KILLING)}
    assert forced <= asked


def lets_requests_finish_until_the_drain_timeout(world: World, decision: Decision) -> None:
    over = {
        instance.id
        for instance in world.instances
        if instance.state is State.DRAINING
        and world.now >= instance.since + instance.service.manifest.update.drain_timeout
    }
    assert set(ended_drains(decision)) == over


def answers_with_three_conditions(world: World, decision: Decision) -> None:
    assert [condition.type for condition in decision.conditions] == ["Ready", "Reconciling", "Stalled"]
    ready, reconciling, stalled = decision.conditions
    assert not (reconciling.status == "True" and stalled.status == "True")
    assert isinstance(decision.outcome, Stalled) == (stalled.status == "True")
    if ready.status == "False" and ready.reason != "Completed" and (decision.actions or world.service):
        assert ready.message or ready.reason
    if stalled.status == "True":
        assert stalled.message


def is_idle_when_nothing_changed(world: World, decision: Decision) -> None:
    if decision.actions:
        return
    again = plan(replace(world, history=decision.history))
    assert not again.actions
    assert again.history == decision.history
    assert again.conditions == decision.conditions


def gone_means_gone(world: World, decision: Decision) -> None:
    if decision.gone:
        assert not world.instances and world.service is None and world.known
        assert all(isinstance(action, CancelPrepare) for action in decision.actions)


PROPERTIES = (
    looks_before_it_decides,
    never_two_copies,
    takes_back_only_what_is_well_and_wanted,
    starts_nothing_beside_what_drains_and_is_well,
    never_acts_on_unknown,
    touches_only_what_it_was_shown,
    stops_what_should_not_run,
    prepares_a_revision_once,
    starts_only_what_is_prepared_and_due,
    starts_only_what_is_wanted,
    keeps_the_old_until_the_new_is_ready,
    recreates_one_after_the_other,
    looks_again_later,
    insists_on_stops,
    kills_nothing_that_was_not_asked_to_end,
    lets_requests_finish_until_the_drain_timeout,
    answers_with_three_conditions,
    is_idle_when_nothing_changed,
    gone_means_gone,
)


def check(world: World) -> tuple[Action, ...]:
    decision = plan(world)
    for holds in PROPERTIES:
        holds(world, decision)
    return decision.actions


@given(worlds())
@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_property_in_generated_worlds(world: World) -> None:
    check(world)


@pytest.mark.soak
@given(worlds())
@settings(
    max_examples=int(os.environ.get("ATEK_SOAK_WORLDS", "100000")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_property_in_very_many_worlds(world: World) -> None:
    check(world)
