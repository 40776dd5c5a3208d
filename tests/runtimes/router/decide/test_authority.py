"""Who may what, over all ways in: what is decided is what a model says that knows nothing of requests.

The model: an administrator may everything. A person at a page of the node may call every API, which know what
else a person may. A service may what its `allow` says, the node's own APIs only by name, however it comes and
whatever it says of itself; and it reaches the host of another only if it may call all that this exports, or,
where it exports nothing, anything.
Whoever is nobody calls nothing, and visits the hosts that are there for everybody.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.router.decide.decision import Answer, Hold, IdentifyPeer, RateLimited
from runtimes.router.decide.place import names_of
from runtimes.router.decide.proxy import Proxy
from runtimes.router.decide.request import decide, decide_for, stands, unseen
from runtimes.router.decide.rpc import Deliver
from runtimes.router.decide.table import (
    NODE,
    SYSTEM,
    Backend,
    Credential,
    Export,
    RouteTable,
    ServiceRoute,
    Session,
    caller_of,
    changed,
    make_table,
    session_id,
)
from tests.runtimes.router.heads import request

if TYPE_CHECKING:
    from runtimes.router.decide.decision import Decision
    from runtimes.router.protocol.request_head import RequestHead

OWN = ("atek.cloud/services-api", "atek.cloud/inspect-api")
OTHERS = ("atek.cloud/adb-api", "example.com/a", "example.com/b")
PATTERNS = (*OWN, *OTHERS, "*", "atek.cloud/*", "example.com/*", "*-api", "**", "atek.*")
NAMES = names_of("localhost")
NODES = ServiceRoute(
    NODE,
    SYSTEM,
    rank=-1,
    exports=tuple(Export(api, "/api", way) for api in OWN for way in ("rpc", "proxy")),
    backends=(
        Backend(
            "node", "/n", exports=tuple(Export(api, "/api", way) for api in OWN for way in ("rpc", "proxy"))
        ),
    ),
)


def exports(apis: frozenset[str]) -> tuple[Export, ...]:
    return tuple(Export(api, "/x", way) for api in sorted(apis) for way in ("rpc", "proxy"))


@st.composite
def tables(draw: st.DrawFn) -> RouteTable:
    """Three services that export and may call anything, and the node."""
    routes = {NODE: NODES}
    for service_id in ("a", "b", "c"):
        offered = exports(draw(st.frozensets(st.sampled_from(OTHERS), max_size=2)))
        allow = draw(st.none() | st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple))
        routes[service_id] = ServiceRoute(
            service_id,
            f"key-{service_id}",
            exports=offered,
            backends=(Backend(f"{service_id}1", f"/{service_id}", exports=offered),),
            credentials=(Credential(f"of-{service_id}"),),
            owner=draw(st.sampled_from([SYSTEM, "ann"])),
            allow=allow,
        )
    return make_table(routes, admin_tokens=["admin"], sessions={session_id("s1"): Session("ann")})


def granted(allow: tuple[str, ...] | None, api: str) -> bool:
    """The rule once more, in other words."""
    if allow is None:
        return api not in OWN
    return any(
        fnmatchcase(api, pattern) and (api not in OWN or pattern.split("/")[0] == "atek.cloud")
        for pattern in allow
    )


def may_call(table: RouteTable, who: str, api: str) -> bool:
    return who in ("admin", "person") or (who != "nobody" and granted(table.services[who].allow, api))


def may_visit(table: RouteTable, who: str, host: str) -> bool:
    offered = {export.api for export in table.services[host].exports}
    if who in ("admin", "person", "nobody", host):
        return True
    if not offered:
        allow = table.services[who].allow
        return allow is None or "*" in allow or "**" in allow
    return all(may_call(table, who, api) for api in offered)


def says(who: str, how: str) -> tuple[str, ...]:
    """The fields by which it says who it is; a service may leave that to the kernel."""
    if who == "admin":
        return ("Authorization: Bearer admin",)
    if who == "person":
        return ("Cookie: session=s1",)
    return (f"Authorization: Bearer of-{who}",) if how == "token" and who != "nobody" else ()


def outcome(table: RouteTable, head: RequestHead, who: str) -> Decision:
    """What comes of it, once the kernel was asked where it is."""
    decision = unseen(table, decide(table, NAMES, head))
    if isinstance(decision, IdentifyPeer):
        service = table.services.get(who)
        decision = decide_for(table, NAMES, decision, caller_of(service)) if service else decision.otherwise
    return decision.otherwise if isinstance(decision, RateLimited) else decision


people = st.sampled_from(["admin", "person", "nobody", "a", "b", "c"])
ways = st.sampled_from(["token", "kernel"])
lies = st.lists(
    st.sampled_from(
        [
            "Atek-Auth-User: system",
            "Atek-Auth-Service: system",
            "Atek-Router-Token: x",
            "Via: 1.1 x",
            "X-A: b",
        ]
    ),
    max_size=2,
)


@given(tables(), people, st.sampled_from([*OWN, *OTHERS]), lies)
def test_calls(table: RouteTable, who: str, api: str, more: list[str]) -> None:
    head = request(f"/_atek/gateway?api={api}", *says(who, "token"), *more, method="POST")
    decision = outcome(table, head, who)
    may = may_call(table, who, api) and table.api(api, "rpc") is not None
    assert (isinstance(decision, Deliver) and decision.refused is None) is may
    if isinstance(decision, Deliver):
        told = b"".join(decision.prefixes.values())
        assert (b"Atek-Auth-User: system" in told) <= (
            who == "admin" or (who in table.services and table.services[who].owner == SYSTEM)
        )


@given(tables(), people, ways, st.sampled_from([*OWN, *OTHERS]))
def test_websockets(table: RouteTable, who: str, way: str, api: str) -> None:
    fields = (*says(who, way), "Upgrade: websocket", "Connection: Upgrade")
    decision = outcome(table, request(f"/_atek/gateway?api={api}", *fields), who)
    may = may_call(table, who, api) and table.api(api, "proxy") is not None
    assert isinstance(decision, Proxy) is may


@given(tables(), people, ways, st.sampled_from(["a", "b", "c"]), st.booleans(), lies)
def test_hosts(table: RouteTable, who: str, way: str, host: str, upgrade: bool, more: list[str]) -> None:
    fields = [*says(who, way), *more]
    if upgrade:
        fields += ["Upgrade: websocket", "Connection: Upgrade"]
    decision = outcome(table, request("/x", *fields, host=f"{host}.localhost"), who)
    assert isinstance(decision, Proxy) is may_visit(table, who, host)
    assert isinstance(decision, (Proxy, Answer)) and not isinstance(decision, Hold)


@settings(max_examples=200)
@given(tables(), tables(), people, ways, st.sampled_from(["a", "b", "c"]))
def test_what_goes_on_stands_as_long_as_it_would_be_let_in(
    before: RouteTable, after: RouteTable, who: str, way: str, host: str
) -> None:
    """Also where other routes come than were there: those of the second world, one by one."""
    fields = (*says(who, way), "Upgrade: websocket", "Connection: Upgrade")
    head = request("/x", *fields, host=f"{host}.localhost")
    begun = outcome(before, head, who)
    if not isinstance(begun, Proxy):
        return
    table = before
    for service_id, route in after.services.items():
        table = changed(table, {service_id: route})
        service = table.services.get(who)
        peer = caller_of(service) if service and way == "kernel" else None
        assert stands(table, NAMES, begun, peer) is may_visit(table, who, host)
    if who in table.services and way == "token" and who != host:
        assert not stands(changed(table, {who: None}), NAMES, begun)
