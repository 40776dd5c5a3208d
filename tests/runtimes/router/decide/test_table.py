"""The route table: what leads where, who may, and that a changed table is the one that would be made anew."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.decide.table import (
    Backend,
    Caller,
    Credential,
    Export,
    ServiceRoute,
    changed,
    conflicts,
    make_table,
    route_from_json,
    route_to_json,
)

APIS = ("a/1", "a/2", "a/3")
exports = st.lists(
    st.builds(
        Export, st.sampled_from(APIS), st.sampled_from(("/x", "/y")), st.sampled_from(("rpc", "proxy"))
    ),
    max_size=3,
).map(tuple)


@st.composite
def routes(draw: st.DrawFn, service_id: str) -> ServiceRoute:
    number = draw(st.integers(0, 3))
    return ServiceRoute(
        service_id,
        f"key of {service_id}",
        rank=draw(st.integers(0, 2)),
        owner=draw(st.sampled_from(("system", "alice"))),
        exports=draw(exports),
        backends=tuple(
            Backend(f"{service_id}-{each}", socket="/s", exports=draw(exports)) for each in range(number)
        ),
        credentials=tuple(Credential(f"token {service_id} {each}", each) for each in range(number)),
        allow=draw(st.none() | st.just(("a/1",))),
        cross_site=draw(st.booleans()),
        access=draw(st.sampled_from(("", "private", "public")) | st.just(("alice", "bob"))),
        sign_in=draw(st.sampled_from(((), (("header", "Remote-User"), ("name", "X-Name"))))),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, ServiceRoute | None]]:
    """Changes to a few services, one after another."""
    ids = ("s1", "s2", "s3", "s4")

    def change() -> dict[str, ServiceRoute | None]:
        names = draw(st.sets(st.sampled_from(ids), min_size=1, max_size=3))
        return {name: draw(st.none() | routes(name)) for name in sorted(names)}

    return [change() for _ in range(draw(st.integers(1, 6)))]


@given(histories())
def test_a_changed_table_is_the_one_that_would_be_made_anew(
    history: list[dict[str, ServiceRoute | None]],
) -> None:
    table, present = make_table({}, admin_tokens=["adm"]), dict[str, ServiceRoute]()
    for change in history:
        table = changed(table, change)
        merged = {**present, **change}
        present = {name: route for name, route in merged.items() if route is not None}
        assert table == make_table(present, admin_tokens=["adm"])


@given(routes("s"))
def test_routes_survive_the_way_to_the_router(route: ServiceRoute) -> None:
    assert route_from_json(route_to_json(route)) == route


@given(routes("s"))
def test_a_route_of_an_earlier_version_says_nothing_of_people(route: ServiceRoute) -> None:
    told = {name: each for name, each in route_to_json(route).items() if name not in ("access", "sign_in")}
    assert route_from_json(told) == replace(route, access="", sign_in=())


def exporter(service_id: str, rank: int, *apis: str) -> ServiceRoute:
    return ServiceRoute(service_id, service_id, rank=rank, exports=tuple(Export(api, "/") for api in apis))


def test_of_two_exporters_precedence_decides_and_then_the_id() -> None:
    services = [exporter("b", 0, "x"), exporter("a", 1, "x", "y"), exporter("c", 1, "y")]
    table = make_table({each.id: each for each in services})
    assert [table.apis[api, "rpc"].service.id for api in ("x", "y")] == ["b", "a"]
    assert conflicts(services) == {"a": {"x": "b"}, "c": {"y": "a"}}
    table = changed(table, {"b": None})
    assert table.apis["x", "rpc"].service.id == "a"


def test_a_backend_is_asked_at_the_path_of_its_own_revision() -> None:
    old = Backend("old", socket="/o", exports=(Export("x", "/old"),))
    new = Backend("new", socket="/n", exports=(Export("x", "/new"),))
    none = Backend("none", socket="/z")
    route = ServiceRoute("s", "k", exports=(Export("x", "/new"),), backends=(old, new, none))
    found = make_table({"s": route}).api("x", "rpc")
    assert found is not None
    assert [(target.backend.instance, target.path) for target in found.targets] == [
        ("old", "/old"),
        ("new", "/new"),
    ]


def test_a_token_is_its_services_and_gone_with_its_instance() -> None:
    route = ServiceRoute(
        "s", "k", owner="alice", credentials=(Credential("t1"), Credential("t2")), allow=("x",)
    )
    table = make_table({"s": route}, admin_tokens=["adm"])
    caller = table.caller("t1")
    assert caller is not None and (caller.user, caller.service, caller.admin) == ("alice", "k", False)
    assert table.may_call(caller, "x") and not table.may_call(caller, "y")
    patterns = Caller("alice", "k", allow=frozenset({"example.com/*"}))
    assert table.may_call(patterns, "example.com/a") and not table.may_call(patterns, "example.org/a")
    table = changed(table, {"s": ServiceRoute("s", "k", credentials=(Credential("t2"),))})
    assert table.caller("t1") is None and table.caller("t2") is not None
    admin = table.caller("adm")
    assert admin is not None and admin.admin and admin.user == "system"
