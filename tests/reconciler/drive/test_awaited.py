"""For whom requests wait: who is about to serve, although nobody does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decide.conditions import Verdict
from reconciler.decide.controller import Controller, Tracked, Wish
from reconciler.decide.history import Completed, History, Rejected
from reconciler.decide.lifecycle import LEAVING, State
from reconciler.decide.routes import Awaited, awaited, restarts, route_of
from reconciler.decide.world import Instance
from reconciler.drive.events import EventLog
from reconciler.drive.metrics import Metrics
from reconciler.drive.routing import Routing
from runtimes.base import Endpoint, Running
from runtimes.router.port import NoRouter
from tests.reconciler.decide.worlds import service

if TYPE_CHECKING:
    from manifests.model.service import Service

OLD, NEW = service("old"), service("new")
HEALTHY = History(healthy=OLD)


def tracked(of: Service, state: State, *, crash: str = "") -> Tracked:
    running = Running("i1", of, 0, 101, Endpoint(socket="/run/i1.sock"), 0.0, token="secret")
    return Tracked(Instance("i1", of, 0, state, 0.0), running, crash=crash)


def controller(
    wish: Service | None, *instances: Tracked, history: History = HEALTHY, **more: Any
) -> Controller:
    found = Controller("app", instances={str(n): each for n, each in enumerate(instances)}, **more)
    found.wish = Wish(wish)
    found.history = history
    return found


@pytest.mark.parametrize(
    "instances",
    [
        *([tracked(OLD, state)] for state in sorted(LEAVING)),
        [],
        [tracked(NEW, State.STARTING)],
        [tracked(OLD, State.STOPPING), tracked(NEW, State.STARTING)],
    ],
)
def test_a_switch_has_one_answer_from_its_beginning_to_its_end(instances: list[Tracked]) -> None:
    assert awaited(controller(NEW, *instances)) == Awaited(NEW.revision)


def test_a_new_revision_has_its_time_however_often_it_crashes() -> None:
    history = replace(HEALTHY, crashes=5, crashed=NEW.revision)
    assert awaited(controller(NEW, history=history)) == Awaited(NEW.revision)


@pytest.mark.parametrize("instances", [[tracked(NEW, State.KILLING)], [], [tracked(OLD, State.STARTING)]])
def test_what_served_before_comes_back_for_what_was_rejected(instances: list[Tracked]) -> None:
    rejected = Rejected(NEW.revision, Verdict("HealthyDeadlineExceeded", "late"))
    history = replace(HEALTHY, rejected=rejected, crashes=3, crashed=NEW.revision)
    assert awaited(controller(NEW, *instances, history=history)) == Awaited(OLD.revision)


@pytest.mark.parametrize("instances", [[], [tracked(OLD, State.STARTING)]])
def test_the_first_crash_is_made_good_at_once_and_the_second_is_not(instances: list[Tracked]) -> None:
    for crashes, expected in ((1, Awaited(OLD.revision, after_crash=True)), (2, None), (9, None)):
        history = replace(HEALTHY, crashes=crashes, crashed=OLD.revision)
        assert awaited(controller(OLD, *instances, history=history)) == expected


def test_what_a_probe_condemned_is_a_crash_before_it_is_one() -> None:
    found = controller(OLD, tracked(OLD, State.STOPPING, crash="its probe failed"))
    assert awaited(found) == Awaited(OLD.revision, after_crash=True)


def test_a_node_that_starts_awaits_what_served_before() -> None:
    assert awaited(controller(OLD)) == Awaited(OLD.revision)


@pytest.mark.parametrize("state", [State.READY, State.UNREADY, State.FAILING])
def test_what_runs_is_not_awaited_however_it_does(state: State) -> None:
    assert awaited(controller(OLD, tracked(OLD, state))) is None
    assert awaited(controller(NEW, tracked(OLD, state))) is None


@pytest.mark.parametrize(
    "found",
    [
        controller(NEW, history=History()),
        controller(NEW, tracked(NEW, State.STARTING), history=History()),
        controller(None),
        controller(None, tracked(OLD, State.DRAINING)),
        controller(OLD, tracked(OLD, State.STOPPING), suspended=True),
        controller(service("old", suspend=True), tracked(OLD, State.STOPPING)),
        controller(service("old", replicas=0), history=History(healthy=service("old", replicas=0))),
        controller(OLD, history=replace(HEALTHY, completed={0: Completed(OLD.revision, True, "done")})),
        controller(service("x", image="x"), history=History(healthy=service("y", image="y"))),
    ],
)
def test_what_nobody_will_serve_soon_is_not_awaited(found: Controller) -> None:
    """Never healthy, declared no more, stopped, scaled to nothing, done, or not prepared."""
    assert awaited(found) is None


def test_the_router_is_told_while_nobody_is_ready() -> None:
    leaving = route_of(controller(NEW, tracked(OLD, State.DRAINING)), "key")
    assert leaving is not None and (leaving.held, leaving.awaits) == (True, NEW.revision)
    ready = route_of(controller(NEW, tracked(NEW, State.READY)), "key")
    assert ready is not None and (ready.held, ready.awaits, ready.after_crash) == (False, "", False)
    crashed = route_of(controller(OLD, history=replace(HEALTHY, crashes=1, crashed=OLD.revision)), "key")
    assert crashed is not None and (crashed.held, crashed.after_crash) == (True, True)


def test_nobody_comes_after_what_ends_with_the_node() -> None:
    routing = Routing(NoRouter(), lambda _: {"key": "key"}, EventLog(), Metrics())
    found = controller(OLD)
    routing.publish(found)
    assert routing.published["app"].held
    routing.hurry()
    routing.publish(found)
    assert not routing.published["app"].held


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (controller(NEW, tracked(OLD, State.DRAINING)), True),
        (controller(None, tracked(OLD, State.DRAINING)), False),
        (controller(OLD, tracked(OLD, State.DRAINING), suspended=True), False),
    ],
)
def test_who_has_a_successor(found: Controller, *, expected: bool) -> None:
    assert restarts(found) is expected


def test_a_route_that_cannot_be_made_is_counted_and_told() -> None:
    def identity(_: str) -> dict[str, str]:
        raise ZeroDivisionError("no key")

    events, metrics = EventLog(), Metrics()
    Routing(NoRouter(), identity, events, metrics).publish(Controller("app"))
    assert metrics.reconcile_errors == 1
    assert [(each.service, each.reason) for each in events.recent()] == [("app", "InternalError")]
