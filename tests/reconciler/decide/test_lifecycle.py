"""The lifecycle table is total, and leaving is final."""

from __future__ import annotations

from itertools import product

import pytest

from reconciler.decide.lifecycle import LEAVING, LIVE, TRANSITIONS, Event, State


def test_every_state_answers_every_event() -> None:
    assert TRANSITIONS.keys() == set(product(State, Event))


def test_every_state_is_live_leaving_or_gone() -> None:
    assert {State.EXITED} == set(State) - LIVE - LEAVING
    assert not LIVE & LEAVING


@pytest.mark.parametrize("state", sorted(LEAVING | {State.EXITED}))
@pytest.mark.parametrize("event", list(Event))
def test_nothing_comes_back_but_what_drains_and_is_wanted_again(state: State, event: Event) -> None:
    comes_back = state is State.DRAINING and event is Event.RESUME
    assert (TRANSITIONS[state, event] in LIVE) == comes_back


@pytest.mark.parametrize("state", sorted(set(State) - {State.DRAINING}))
def test_only_what_drains_can_resume(state: State) -> None:
    assert TRANSITIONS[state, Event.RESUME] is state
    assert TRANSITIONS[State.DRAINING, Event.RESUME] is State.READY


@pytest.mark.parametrize("state", sorted(LIVE))
def test_only_what_may_have_requests_in_flight_drains(state: State) -> None:
    served = state in (State.READY, State.UNREADY)
    assert TRANSITIONS[state, Event.STOP] is (State.DRAINING if served else State.STOPPING)


@pytest.mark.parametrize("event", sorted(set(Event) - {Event.RESUME, Event.DRAINED, Event.FORCE, Event.EXIT}))
def test_nothing_else_ends_a_drain(event: Event) -> None:
    assert TRANSITIONS[State.DRAINING, event] is State.DRAINING
    assert TRANSITIONS[State.DRAINING, Event.DRAINED] is State.STOPPING


@pytest.mark.parametrize("event", list(Event))
def test_what_is_gone_stays_gone(event: Event) -> None:
    assert TRANSITIONS[State.EXITED, event] is State.EXITED


@pytest.mark.parametrize("state", sorted(set(State) - {State.EXITED}))
def test_an_exit_ends_every_state(state: State) -> None:
    assert TRANSITIONS[state, Event.EXIT] is State.EXITED
