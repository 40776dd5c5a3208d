"""What the router is told about one service, and whom an API that two export belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.decide.controller import UNDECLARED, Controller, Tracked, Wish
from reconciler.decide.lifecycle import State
from reconciler.decide.routes import route_of
from reconciler.decide.world import Instance
from reconciler.drive.events import EventLog
from reconciler.drive.metrics import Metrics
from reconciler.drive.routing import Routing
from runtimes.base import Copy, Endpoint, Running
from runtimes.router.decide.table import (
    SYSTEM,
    Backend,
    Credential,
    Export,
    ServiceRoute,
    Session,
    make_table,
    session_id,
)
from runtimes.router.port import NoRouter
from tests.reconciler.decide.worlds import service

API = {"api": "example.com/notes", "path": "/v1"}
V1 = Export("example.com/notes", "/v1")


def exporting(marker: str = "a", *exports: Any, **manifest: Any) -> Any:
    return service(marker, exports=list(exports) or [API], **manifest)


def tracked(of: Any, state: State = State.READY, number: int = 1, token: str = "secret") -> Tracked:
    endpoint = Endpoint(socket=f"/run/i{number}.sock")
    running = Running(f"i{number}", of, 0, 100 + number, endpoint, 0.0, token=token)
    return Tracked(Instance(running.instance, of, 0, state, 0.0), running)


def controller(wish: Any, *instances: Tracked, rank: int = 0, service_id: str = "app") -> Controller:
    found = Controller(service_id, instances={each.running.instance: each for each in instances})
    found.wish = Wish(wish, rank=rank)
    return found


def route(of: Controller) -> ServiceRoute:
    found = route_of(of, "key")
    assert found is not None
    return found


def test_a_ready_instance_is_a_backend() -> None:
    of = exporting(allow=["example.com/other"])
    assert route_of(controller(of, tracked(of), rank=2), "key") == ServiceRoute(
        id="app",
        key="key",
        rank=2,
        owner=SYSTEM,
        exports=(V1,),
        backends=(Backend("i1", socket="/run/i1.sock", exports=(V1,)),),
        credentials=(Credential("secret", 101, "i1"),),
        allow=("example.com/other",),
    )


@pytest.mark.parametrize(("manifest", "allowed"), [({}, False), ({"crossSite": "allow"}, True)])
def test_pages_of_other_sites_are_a_matter_of_the_manifest_of_today(
    manifest: dict[str, Any], *, allowed: bool
) -> None:
    of = exporting(**manifest)
    assert route(controller(of, tracked(exporting()))).cross_site is allowed
    assert of.revision == exporting().revision


def test_an_instance_that_a_cluster_keeps_has_a_backend_for_each_task_that_listens() -> None:
    of = exporting()
    each = tracked(of)
    places = (Copy("t1", "pi", Endpoint(host="10.0.0.1", port=1)), Copy("t2", "pi"))
    each.running = replace(each.running, copies=places)
    assert route(controller(of, each)).backends == (Backend("i1.t1", None, "10.0.0.1", 1, exports=(V1,)),)
    each.running = replace(each.running, copies=())
    assert route(controller(of, each)).backends == ()


@pytest.mark.parametrize("state", sorted(set(State) - {State.READY, State.EXITED}))
def test_whatever_is_not_ready_is_no_backend_and_may_call_others(state: State) -> None:
    of = exporting()
    found = route(controller(of, tracked(of, state)))
    assert found.exports == (V1,)
    assert found.backends == ()
    assert found.credentials == (Credential("secret", 101, "i1"),)


def test_a_port_is_an_endpoint_too() -> None:
    of = exporting()
    on_port = tracked(of)
    on_port.running = Running("i1", of, 0, 101, Endpoint(port=8080), 0.0)
    assert route(controller(of, on_port)).backends == (Backend("i1", port=8080, exports=(V1,)),)


def test_each_backend_has_the_exports_of_its_own_revision() -> None:
    old, new = exporting("a"), exporting("b", {"api": "example.com/notes", "path": "/v2"})
    found = route(controller(new, tracked(old, number=1), tracked(new, number=2)))
    assert found.exports == (Export("example.com/notes", "/v2"),)
    assert [each.exports[0].path for each in found.backends] == ["/v1", "/v2"]


def test_policies_apply_to_what_runs_of_the_same_revision() -> None:
    before, after = exporting(), exporting("a", "example.com/more", allow=[])
    found = controller(before, tracked(before))
    found.wishes(Wish(after))
    assert before.revision == after.revision
    assert route(found).backends[0].exports == (Export("example.com/more", "/"),)
    assert route(found).allow == ()
    found.wishes(Wish(exporting("b")))
    assert route(found).backends[0].exports == (Export("example.com/more", "/"),)


def test_a_stopped_service_exports_nothing() -> None:
    of, suspended = exporting(), exporting(suspend=True)
    stopped = controller(of, tracked(of, State.STOPPING))
    stopped.suspended = True
    for each in (stopped, controller(suspended)):
        assert route(each).exports == ()
        assert route(each).backends == ()


def test_nobody_knows_a_service_that_is_neither_declared_nor_running() -> None:
    assert route_of(controller(None), "key") is None


def test_an_undeclared_service_exports_while_it_serves() -> None:
    """Its source cannot be read yet; what is pruned stops, and so serves no more."""
    of = exporting(allow=[])
    serving = route(Controller("app", instances={"i1": tracked(of)}))
    assert (serving.exports, serving.rank, serving.allow) == ((V1,), UNDECLARED, ())
    leaving = route(Controller("app", instances={"i1": tracked(of, State.STOPPING)}))
    assert (leaving.exports, leaving.allow) == ((), ())


@pytest.mark.parametrize(
    ("manifest", "access", "sign_in"),
    [
        ({}, "", ()),
        ({"access": "public"}, "public", ()),
        ({"access": []}, (), ()),
        ({"access": ["alice", "bob"]}, ("alice", "bob"), ()),
        ({"signIn": {"header": "Remote-User"}}, "", (("header", "Remote-User"),)),
        (
            {"signIn": {"name": "X-Name", "email": "X-Mail"}},
            "",
            (("email", "X-Mail"), ("name", "X-Name")),
        ),
    ],
)
def test_who_may_see_it_and_how_it_hears_of_them_is_todays_manifests(
    manifest: dict[str, Any], access: object, sign_in: object
) -> None:
    of = exporting(**manifest)
    found = route(controller(of, tracked(exporting())))
    assert (found.access, found.sign_in) == (access, sign_in)
    assert of.revision == exporting().revision


def test_a_token_that_nobody_knows_lets_nobody_in() -> None:
    of = exporting()
    assert route(controller(of, tracked(of, token=""))).credentials == ()


def test_no_token_shows_by_accident() -> None:
    of = exporting()
    found = route(controller(of, tracked(of, token="s3cret")))
    table = make_table(
        {"app": found}, admin_tokens=["t0ken"], sessions={session_id("c0okie"): Session("user")}
    )
    assert table.caller("s3cret") and table.caller("t0ken")
    for secret in ("s3cret", "t0ken", "c0okie"):
        assert secret not in repr(found) and secret not in repr(table)


class Told(NoRouter):
    """What it was told, call by call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, ServiceRoute | None]] = []

    def publish(self, routes: Any) -> None:
        self.calls.append(dict(routes))


def make_routing() -> tuple[Routing, Told, EventLog]:
    told, events = Told(), EventLog()
    return (
        Routing(told, lambda service_id: {"key": f"key of {service_id}"}, events, Metrics(), lambda: 7.0),
        told,
        events,
    )


def test_only_changes_are_published_and_together() -> None:
    routing, told, _ = make_routing()
    of = exporting()
    one, two = controller(of, tracked(of)), controller(of, service_id="two")
    routing.publish(one, two)
    routing.publish(one, two)
    one.instances.clear()
    routing.publish(one)
    one.wish = Wish()
    routing.publish(one, two)
    routing.publish(one)
    assert [sorted(call) for call in told.calls] == [["app", "two"], ["app"], ["app"]]
    first = told.calls[0]["app"]
    assert first is not None and first.key == "key of app"
    assert told.calls[-1] == {"app": None}


def test_an_api_that_two_export_goes_to_the_first_source_and_then_by_id() -> None:
    routing, _, events = make_routing()
    routing.publish(
        controller(exporting(), rank=1, service_id="a"),
        controller(exporting(), rank=0, service_id="z"),
        controller(exporting(), rank=1, service_id="b"),
    )
    assert {loser: dict(lost.apis) for loser, lost in routing.lost.items()} == {
        "a": {"example.com/notes": "z"},
        "b": {"example.com/notes": "z"},
    }
    assert str(routing.lost["a"]) == "example.com/notes is served by z"
    assert routing.lost["a"].since == 7.0
    told = [(event.service, event.reason, event.warning) for event in events.recent()]
    assert told == [("a", "ExportConflict", True), ("b", "ExportConflict", True)]


def test_a_conflict_is_told_once_and_again_when_another_wins() -> None:
    routing, _, events = make_routing()
    winner, loser = controller(exporting(), service_id="a"), controller(exporting(), service_id="b")
    routing.publish(winner, loser)
    of = exporting()
    loser.instances["i1"] = tracked(of)
    routing.publish(winner, loser, controller(exporting("a", "example.com/free"), service_id="c"))
    assert len(events.recent()) == 1
    winner.suspended = True
    routing.publish(winner)
    assert routing.lost == {}
    winner.suspended = False
    routing.publish(winner)
    assert len(events.recent()) == 2
