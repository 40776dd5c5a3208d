"""What a page of another site may have done, at each place of a node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.decide.binding import GiveSession
from runtimes.router.decide.decision import Answer, IdentifyPeer, RateLimited
from runtimes.router.decide.proxy import Proxy
from runtimes.router.decide.request import decide
from runtimes.router.decide.rpc import Deliver
from runtimes.router.protocol.page_answers import Reader
from tests.runtimes.router.decide.test_request import (
    API,
    BEARER,
    GATEWAY,
    HOOK,
    HOST,
    LIVE,
    NAMES,
    NOTES,
    SOCKET,
    table,
)
from tests.runtimes.router.harness import bound_cookie
from tests.runtimes.router.heads import request

ALLOWED = replace(NOTES, cross_site=True)
CROSS, SAME_SITE = "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"
EVIL, OPAQUE, SIBLING = "Origin: http://evil.example", "Origin: null", "Origin: http://other.localhost:2835"
FOREIGN = [(CROSS,), (SAME_SITE,), (EVIL,), (OPAQUE,), (SIBLING,), (CROSS, EVIL), ("Sec-Fetch-Site: new",)]
OWN = [(), ("Sec-Fetch-Site: same-origin",), ("Sec-Fetch-Site: none",), (f"Origin: http://{HOST}",)]
PREFLIGHT = "Access-Control-Request-Method: PUT"
PRIVATE = "Access-Control-Request-Private-Network: true"
SESSIONS = "/_atek/gateway?api=atek.cloud/user-sessions-api"


def status(decision: object) -> int:
    assert isinstance(decision, Answer)
    return decision.status


@pytest.mark.parametrize("said", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get", "BREW"])
def test_a_page_of_another_site_changes_nothing_at_a_services_host(
    method: str, said: tuple[str, ...]
) -> None:
    head = request("/", *said, method=method, host=HOST)
    refused = decide(table(), NAMES, head)
    assert status(refused) == 403
    assert isinstance(refused, Answer)
    assert b"crossSite: allow" in refused.body
    assert refused.fields == ()
    assert isinstance(decide(table(ALLOWED), NAMES, head), Proxy)


@pytest.mark.parametrize("said", OWN)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_its_own_pages_and_programs_do(method: str, said: tuple[str, ...]) -> None:
    assert isinstance(decide(table(), NAMES, request("/", *said, method=method, host=HOST)), Proxy)


@pytest.mark.parametrize("said", [*FOREIGN, *OWN])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_links_and_pictures_are_shown(method: str, said: tuple[str, ...]) -> None:
    """As nobody's, and other pages do not read them."""
    cookie = bound_cookie("of-ann", NOTES, ["admin"])
    decision = decide(table(), NAMES, request("/", cookie, *said, method=method, host=HOST))
    assert isinstance(decision, Proxy)
    assert (decision.caller is None) is (said in FOREIGN)
    assert decision.known.reader is (Reader.FOREIGN_PAGE if said in FOREIGN else Reader.OWN_PAGE)
    allowed = decide(table(ALLOWED), NAMES, request("/", cookie, *said, method=method, host=HOST))
    assert isinstance(allowed, Proxy)
    assert (allowed.caller is None) is (said in FOREIGN)
    assert allowed.known.reader is Reader.ANY_PAGE


@pytest.mark.parametrize("protocol", ["websocket", "x-other"])
@pytest.mark.parametrize("said", FOREIGN)
def test_its_websockets_are_refused(said: tuple[str, ...], protocol: str) -> None:
    fields = (f"Upgrade: {protocol}", "Connection: Upgrade", *said)
    assert status(decide(table(), NAMES, request("/", *fields, host=HOST))) == 403
    assert isinstance(decide(table(ALLOWED), NAMES, request("/", *fields, host=HOST)), Proxy)


@pytest.mark.parametrize("said", OWN)
def test_a_hosts_own_are_not(said: tuple[str, ...]) -> None:
    assert isinstance(decide(table(), NAMES, request("/", *SOCKET, *said, host=HOST)), Proxy)


def test_whether_it_may_is_answered_by_services_that_are_for_other_sites() -> None:
    head = request("/", EVIL, PREFLIGHT, method="OPTIONS", host=HOST)
    assert status(decide(table(), NAMES, head)) == 403
    assert isinstance(decide(table(ALLOWED), NAMES, head), Proxy)
    plain = request("/", EVIL, method="OPTIONS", host=HOST)
    assert isinstance(decide(table(), NAMES, plain), Proxy)


@pytest.mark.parametrize("host", [HOST, "localhost:2835", "elsewhere.example", "no.localhost"])
@pytest.mark.parametrize("target", ["/", GATEWAY])
def test_no_page_of_the_internet_reaches_this_network_by_asking(target: str, host: str) -> None:
    head = request(target, EVIL, PREFLIGHT, PRIVATE, method="OPTIONS", host=host)
    for routes in (table(), table(ALLOWED)):
        refused = decide(routes, NAMES, head)
        assert status(refused) == 403
        assert isinstance(refused, Answer)
        assert refused.fields == ()


# -- the node's own host


@pytest.mark.parametrize("said", FOREIGN)
def test_at_the_gateway_a_page_of_another_site_needs_a_token(said: tuple[str, ...]) -> None:
    for cookie in ((), ("Cookie: session=of-ann",)):
        call = decide(table(), NAMES, request(GATEWAY, *said, *cookie, method="POST"))
        assert isinstance(call, RateLimited)
        assert status(call.otherwise) == 401
    assert isinstance(decide(table(), NAMES, request(GATEWAY, *said, BEARER, method="POST")), Deliver)


@pytest.mark.parametrize("said", FOREIGN)
def test_nor_does_it_log_anybody_in(said: tuple[str, ...]) -> None:
    """A reader who is logged in as somebody else than he thinks gives his secrets to that one."""
    assert status(decide(table(), NAMES, request(SESSIONS, *said, method="POST"))) == 403
    own = decide(table(), NAMES, request(SESSIONS, "Sec-Fetch-Site: same-origin", method="POST"))
    assert isinstance(own, RateLimited) and isinstance(own.otherwise, Deliver)


@pytest.mark.parametrize("said", FOREIGN)
def test_a_page_is_not_taken_for_the_process_that_shows_it(said: tuple[str, ...]) -> None:
    """A browser may be a service's own process; its WebSockets are its pages'."""
    live = f"/_atek/gateway?api={LIVE}"
    refused = decide(table(), NAMES, request(live, *SOCKET, *said))
    assert isinstance(refused, RateLimited) and status(refused.otherwise) == 401
    assert isinstance(decide(table(), NAMES, request(live, *SOCKET)), IdentifyPeer)
    assert isinstance(decide(table(), NAMES, request(live, *SOCKET, BEARER, *said)), Proxy)


@pytest.mark.parametrize("said", FOREIGN)
@pytest.mark.parametrize("target", ["/", "/livez", "/metrics", HOOK, "/_atek/bind-session?service=notes"])
def test_at_the_nodes_pages_it_changes_nothing(target: str, said: tuple[str, ...]) -> None:
    cookie = "Cookie: session=of-ann"
    assert status(decide(table(), NAMES, request(target, cookie, *said, method="POST"))) == 403
    shown = decide(table(), NAMES, request(target, cookie, *said))
    assert isinstance(shown, (Proxy, GiveSession))


def test_a_websockets_answer_sets_no_cookie_at_the_nodes_host() -> None:
    live = decide(table(), NAMES, request(f"/_atek/gateway?api={LIVE}", BEARER, *SOCKET))
    assert isinstance(live, Proxy) and live.known.reader is Reader.GATEWAY


# -- all of it

_SAID = [
    *(each for said in FOREIGN for each in said),
    *(each for said in OWN for each in said),
    BEARER,
    *SOCKET,
]


@given(
    st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"]),
    st.sampled_from(["/", GATEWAY, SESSIONS, HOOK, "/livez", f"/_atek/gateway?api={API}"]),
    st.sampled_from([HOST, "localhost:2835", "notes.home.example", "home.example"]),
    st.lists(
        st.sampled_from([*_SAID, PREFLIGHT, PRIVATE, "Cookie: session=of-ann"]), max_size=5, unique=True
    ),
)
def test_nothing_that_may_change_something_gets_through_without_a_token(
    method: str, target: str, host: str, fields: list[str]
) -> None:
    head = request(target, *fields, method=method, host=host)
    decision = decide(table(), NAMES, head)
    while isinstance(decision, RateLimited):
        decision = decision.otherwise
    acts = method not in ("GET", "HEAD", "OPTIONS") or head.upgrade or head.preflight
    if head.foreign and acts and isinstance(decision, (Proxy, Deliver)):
        assert head.token and decision.series[0] == "gateway"
    if head.elsewhere and isinstance(decision, (Proxy, Deliver)) and not head.token:
        assert decision.caller is None
