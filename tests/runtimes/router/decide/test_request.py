"""A request's way to a decision: every step may end it, and none is asked before the one above it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runtimes.router.decide.binding import AskForSession, GiveSession, TakeSession
from runtimes.router.decide.decision import Answer, Hold, IdentifyPeer, RateLimited
from runtimes.router.decide.place import names_of
from runtimes.router.decide.proxy import Proxy
from runtimes.router.decide.request import decide, decide_again
from runtimes.router.decide.rpc import Deliver
from runtimes.router.decide.table import (
    NODE,
    Backend,
    Caller,
    Credential,
    Export,
    RouteTable,
    ServiceRoute,
    Session,
    make_table,
    session_id,
)
from tests.runtimes.router.harness import bound_cookie
from tests.runtimes.router.heads import request

if TYPE_CHECKING:
    from runtimes.router.protocol.request_head import RequestHead

API, LIVE = "example.com/notes", "example.com/live"
EXPORTS = (Export(API, "/rpc"), Export(LIVE, "/live", "proxy"))
NOTES = ServiceRoute(
    "notes",
    "key-of-notes",
    exports=EXPORTS,
    backends=(Backend("notes-1", socket="/notes", exports=EXPORTS),),
    credentials=(Credential("of-notes"),),
)
#: May call nobody.
OTHER = ServiceRoute("other", "key-of-other", credentials=(Credential("of-other"),), allow=())
NODES_OWN = ServiceRoute(NODE, "", backends=(Backend("node", socket="/node"),))
NAMES = names_of("home.example")
GATEWAY, HOST = f"/_atek/gateway?api={API}", "notes.localhost:2835"
HOOK = "/_atek/hooks/git/home"
SOCKET = ("Upgrade: websocket", "Connection: Upgrade")
BEARER, FROM_OTHER = "Authorization: Bearer of-notes", "Authorization: Bearer of-other"
PAGE = "Accept: text/html"


def table(notes: ServiceRoute = NOTES, *, private: bool = False) -> RouteTable:
    services = {route.id: route for route in (notes, OTHER, NODES_OWN)}
    return make_table(
        services, admin_tokens=["admin"], sessions={session_id("of-ann"): Session("ann")}, private=private
    )


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(request(host="elsewhere.example"), 421, id="a foreign name"),
        pytest.param(request(host="no.localhost"), 404, id="no such service"),
        pytest.param(request("/nothing"), 404, id="no such page of the node"),
        pytest.param(request("/livez", "Content-Length: 1"), 413, id="a page of the node with a body"),
        pytest.param(
            request(HOOK, f"Content-Length: {2**20 + 1}", method="POST"), 413, id="a hook that is too large"
        ),
        pytest.param(
            request(HOOK, "Transfer-Encoding: chunked", method="POST"), 411, id="a hook of any length"
        ),
        pytest.param(
            request(HOOK, "Content-Length: 2", method="POST", host="elsewhere.example"),
            421,
            id="a hook by a foreign name",
        ),
        pytest.param(request(GATEWAY, method="OPTIONS"), 204, id="a preflight"),
        pytest.param(request(GATEWAY, BEARER), 404, id="the gateway by GET"),
        pytest.param(request(f"/_atek/gateway?api={LIVE}", FROM_OTHER, *SOCKET), 403, id="may not call it"),
        pytest.param(request("/_atek/gateway?api=no", BEARER, *SOCKET), 404, id="nobody has the API"),
        pytest.param(request("/", FROM_OTHER, host=HOST), 403, id="may not reach the host"),
        pytest.param(request("/_atek/bind-session?service=no"), 404, id="a session for nobody"),
        pytest.param(request("/_atek/bind-session?service=notes"), 302, id="log in first"),
    ],
)
def test_what_the_router_answers_itself(head: RequestHead, status: int) -> None:
    decision = decide(table(), NAMES, head)
    assert isinstance(decision, Answer)
    assert decision.status == status


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        pytest.param(request("/", host=HOST), Proxy, id="a service's host"),
        pytest.param(request("/", host="notes.home.example"), Proxy, id="under the node's domain"),
        pytest.param(request("/livez"), Proxy, id="a page of the node"),
        pytest.param(request(HOOK, f"Content-Length: {2**20}", method="POST"), Proxy, id="a hook"),
        pytest.param(request(HOOK), Proxy, id="a hook by GET, which the node refuses"),
        pytest.param(request(HOOK, method="POST"), Proxy, id="a hook without a body"),
        pytest.param(request(f"/_atek/gateway?api={LIVE}", BEARER, *SOCKET), Proxy, id="a WebSocket"),
        pytest.param(request(GATEWAY, BEARER, method="POST"), Deliver, id="calls"),
        pytest.param(request(GATEWAY, FROM_OTHER, method="POST"), Deliver, id="calls that get errors"),
        pytest.param(request(GATEWAY, method="POST"), RateLimited, id="calls of nobody"),
        pytest.param(request(f"/_atek/gateway?api={LIVE}", *SOCKET), IdentifyPeer, id="who is it"),
        pytest.param(
            request(f"/_atek/gateway?api={LIVE}", "Origin: http://x", *SOCKET),
            RateLimited,
            id="a page's WebSocket",
        ),
        pytest.param(
            request("/_atek/bind-session?service=notes", "Cookie: session=of-ann"),
            GiveSession,
            id="logged in",
        ),
    ],
)
def test_what_is_carried_out(head: RequestHead, kind: type) -> None:
    assert type(decide(table(), NAMES, head)) is kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (request("/", PAGE, host=HOST), AskForSession),
        (request("/?bst=token", PAGE, host=HOST), TakeSession),
        (request("/", bound_cookie("of-ann", NOTES, ["admin"]), host=HOST), Proxy),
        (request("/", "Cookie: session=of-ann", host=HOST), IdentifyPeer),
        (request("/", "Authorization: Bearer wrong", host=HOST), Answer),
        (request("/", "Origin: http://notes.localhost:2835", host=HOST), Answer),
        (request("/", host=HOST), IdentifyPeer),
        (request("/", PAGE, FROM_OTHER, host=HOST), Answer),
    ],
)
def test_private_hosts_ask_who_it_is(head: RequestHead, kind: type) -> None:
    assert type(decide(table(private=True), NAMES, head)) is kind


def test_who_was_found_out_is_not_asked_again() -> None:
    head = request(f"/_atek/gateway?api={LIVE}", *SOCKET)
    decision = decide(table(), NAMES, head, Caller("system", "key-of-notes"))
    assert isinstance(decision, Proxy)
    assert decision.prefix_for("notes-1").startswith(b"GET /live HTTP/1.1\r\n")
    denied = decide(table(), NAMES, head, Caller("system", "key-of-other", allow=frozenset()))
    assert isinstance(denied, Answer)
    assert denied.status == 403


@pytest.mark.parametrize(
    "head",
    [
        request("/", host=HOST),
        request(f"/_atek/gateway?api={LIVE}", BEARER, *SOCKET),
        request(GATEWAY, BEARER, method="POST"),
    ],
)
def test_where_there_is_about_to_be_an_instance_requests_are_held_once(head: RequestHead) -> None:
    awaited = table(replace(NOTES, backends=(), awaits="a-revision"))
    decision = decide(awaited, NAMES, head)
    assert isinstance(decision, Hold)
    assert decision.service_id == "notes"
    assert type(decide_again(awaited, NAMES, head)) is type(decision.otherwise)


def test_who_may_not_call_waits_for_nobody() -> None:
    awaited = table(replace(NOTES, backends=(), awaits="a-revision"))
    decision = decide(awaited, NAMES, request(GATEWAY, FROM_OTHER, method="POST"))
    assert isinstance(decision, Deliver)
    assert decision.refused
