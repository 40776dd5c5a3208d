"""Who a service is told that somebody is, whatever that somebody tries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson
import pytest

from runtimes.router.decide.place import USER_SESSIONS_API
from runtimes.router.decide.table import NODE, Credential, Export, Session
from runtimes.router.limits import Limits
from runtimes.router.protocol.fields import plain_name
from tests.runtimes.router.harness import ADMIN, API, PATH, SOCKET, call
from tests.runtimes.router.instances import echo
from tests.runtimes.router.wire import chunks, request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Version: 13")
GATEWAY = f"/_atek/gateway?api={API}"


async def open_socket(world: World, *fields: str, unix: bool = False) -> int:
    """The status that a WebSocket without a token gets, sent by a process of the service `caller`."""
    await world.service("caller", exports=(), credentials=(Credential("its token", os.getsid(0)),))
    client = await world.connect(unix=unix)
    await client.send(request("GET", GATEWAY, *UPGRADE, *fields))
    return (await client.answer()).status


# -- WebSockets of the node's own programs


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize(
    "field",
    [
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: home.example",
        "X-Real-IP: 203.0.113.7",
        "Forwarded: for=203.0.113.7",
        "Via: 1.1 nginx",
        "Origin: https://home.example",
        "Origin: http://localhost:2835",
        "Origin: null",
    ],
)
async def test_a_program_that_asks_for_somebody_else_is_not_that_somebody(
    world: World, field: str, *, unix: bool
) -> None:
    """A service may be a proxy: what a stranger sends through it is not the service's own."""
    service = await world.service(serve=echo, exports=SOCKET)
    assert await open_socket(world, field, unix=unix) == 401
    assert service.requests == []


async def test_a_program_that_asks_for_itself_needs_no_token(world: World) -> None:
    service = await world.service(serve=echo, exports=SOCKET)
    assert await open_socket(world, "User-Agent: ws", "Cookie: a=b") == 200
    assert service.request["atek-auth-service"] == "key-of-caller"


# -- who is not known


async def test_who_is_not_known_cannot_call_more_than_the_router_sees(world: World) -> None:
    """The service that takes the first of two methods, or one in other letters, sees only the one allowed."""
    export = (Export(USER_SESSIONS_API, "/sessions"),)
    service = await world.service("sessions", exports=export)
    for members in ('"method":"secret","method":"login"', '"Method":"secret","method":"login"'):
        body = f'{{"jsonrpc":"2.0","id":1,{members},"params":["a"]}}'.encode()
        answer = await world.post(body, api=USER_SESSIONS_API, token=None)
        assert answer.json == {"jsonrpc": "2.0", "id": 1, "result": ["a"]}
    assert {each.body for each in service.requests} == {
        b'{"jsonrpc":"2.0","id":1,"method":"login","params":["a"]}'
    }
    refused = await world.post(call("secret"), api=USER_SESSIONS_API, token=None)
    assert refused.json["error"]["message"] == "Not authorized"
    assert not {"atek-auth-user", "atek-auth-service"} & service.requests[0].names


@pytest.mark.parametrize("chunked", [False, True])
async def test_little_is_gathered_of_who_is_not_known(world: World, *, chunked: bool) -> None:
    """Anybody may log in; that is no reason to keep megabytes for anybody."""
    world.replace_plane(Limits(login=1000))
    await world.service("sessions", exports=(Export(USER_SESSIONS_API, "/sessions"),))
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1001"
    target = f"/_atek/gateway?api={USER_SESSIONS_API}"
    for fields, status in (((), 413), ((f"Authorization: Bearer {ADMIN}",), 200)):
        client = await world.connect()
        await client.send(request("POST", target, framing, *fields))
        if chunked or status == 200:
            # The length alone says enough.
            body = orjson.dumps(call("login")).ljust(1001)
            await client.send(chunks(body[:500], body[500:]) if chunked else body)
        answer = await client.answer()
        assert answer.status == status
        if status == 413:
            assert answer.json["error"]["message"] == "the request is larger than 1000 bytes"


# -- what a service does not get to see


@pytest.mark.parametrize(
    ("cookies", "passed"),
    [
        (["session=s1"], None),
        (["a=b; session=s1; c=d"], "a=b; c=d"),
        (["session=old; session=s1"], "session=old"),
        (["session=s1; session=old"], "session=old"),
        (["session=s2; session=s1"], None),
        (["session=old", "session=s1; a=b"], "session=old; a=b"),
        (["session = s1;a=b"], "a=b"),
        (["session=s1;"], None),
        (["a=s1; sessions=s1"], "a=s1; sessions=s1"),
        (["session=its own"], "session=its own"),
        (["session"], "session"),
        (['session="s1"'], None),
    ],
)
async def test_no_session_of_the_nodes_reaches_a_service(
    world: World, cookies: list[str], passed: str | None
) -> None:
    service = await world.service()
    world.sign_in({"s1": Session("bob"), "s2": Session("eve")}, private=False)
    await world.ask("GET", "/", *(f"Cookie: {cookie}" for cookie in cookies), host="notes.localhost")
    assert service.request["cookie"] == (passed or "")
    assert ("cookie" in service.request.names) is (passed is not None)
    assert service.request["atek-auth-user"] == ""


@pytest.mark.parametrize(
    ("cookies", "passed", "known"),
    [
        ("{bob}", None, "bob"),
        ("a=b; {bob}; c=d", "a=b; c=d", "bob"),
        ("{bob}; {eve}", None, "bob"),
        ("{forged}; {eve}", None, ""),
        ("{eve}x", None, ""),
        ("{bob}; session=s2; session=its own", "session=its own", "bob"),
        ("__Host-{eve}; {bob}", None, "eve"),
        ("{bob}; __Host-{eve}", None, "eve"),
        ("{elsewhere}; a=b", "a=b", ""),
        ("atek-0123456789abcdef=x; atek-way-0123456789abcdef=x", None, ""),
        ("atek-of-its-own=x", "atek-of-its-own=x", ""),
    ],
)
async def test_a_host_has_a_cookie_of_its_own_which_the_service_is_not_sent(
    world: World, cookies: str, passed: str | None, known: str
) -> None:
    service, other = await world.service(), await world.service("other")
    world.sign_in({"s1": Session("bob"), "s2": Session("eve")}, private=False)
    bob, eve, elsewhere = (
        each.removeprefix("Cookie: ")
        for each in (service.cookie("s1"), service.cookie("s2"), other.cookie("s1"))
    )
    # The right one of somebody else, with one's own handle.
    forged = bob[: bob.index("=") + 33] + eve[eve.index("=") + 33 :]
    said = cookies.format(bob=bob, eve=eve, elsewhere=elsewhere, forged=forged)
    await world.ask("GET", "/", f"Cookie: {said}", host=service.host)
    assert service.request["atek-auth-user"] == known
    assert service.request["cookie"] == (passed or "")
    assert ("cookie" in service.request.names) is (passed is not None)


# -- what a service may call


@pytest.mark.parametrize(
    ("allow", "status"), [(None, 200), ((), 403), (("example.com/other",), 403), ((API,), 200)]
)
async def test_a_services_host_is_no_way_around_what_its_callers_may_call(
    world: World, allow: tuple[str, ...] | None, status: int
) -> None:
    service = await world.service()
    caller = await world.service("caller", exports=(), allow=allow)
    for method, target in (("POST", PATH), ("GET", "/_api/../_api/notes"), ("GET", "/")):
        answer = await world.ask(method, target, caller.bearer, host="notes.localhost", body=b"")
        assert answer.status == status
    assert {each["atek-auth-service"] for each in service.requests} == (
        {"key-of-caller"} if status == 200 else set()
    )


@pytest.mark.parametrize(
    ("allow", "status"), [((), 403), (("a.example/b",), 403), (("*",), 200), (None, 200)]
)
async def test_a_service_reaches_itself_and_what_exports_nothing_where_it_may_call_anything(
    world: World, allow: tuple[str, ...] | None, status: int
) -> None:
    caller = await world.service("caller", allow=allow)
    await world.service("pages", exports=())
    assert (await world.ask("GET", "/", caller.bearer, host="caller.localhost")).status == 200
    assert (await world.ask("GET", "/", caller.bearer, host="pages.localhost")).status == status


async def test_an_older_revisions_api_is_one_too(world: World) -> None:
    """It is in the routes until it is stopped."""
    service = await world.service()
    service.publish(*service.instances, exports=())
    caller = await world.service("caller", exports=(), allow=())
    assert (await world.ask("GET", "/", caller.bearer, host="notes.localhost")).status == 403


# -- the node's own APIs

OWN = "atek.cloud/services-api"


@pytest.mark.parametrize(
    ("allow", "granted"),
    [(None, False), (("*",), False), ((API,), False), ((OWN,), True), (("atek.cloud/*",), True)],
)
@pytest.mark.parametrize("owner", ["system", "bob"])
async def test_the_nodes_own_apis_are_for_who_is_granted_them(
    world: World, allow: tuple[str, ...] | None, owner: str, *, granted: bool
) -> None:
    """Whoever owns it: what it then may is the owner's rights, of which the API is told."""
    exports = (Export(OWN, "/own"), Export(OWN, "/own", "proxy"))
    node = await world.service(NODE, exports=exports)
    caller = await world.service("caller", exports=(), allow=allow, owner=owner)
    answer = await world.post(call(), api=OWN, token=caller.token)
    assert ("result" in answer.json) is granted
    socket = f"/_atek/gateway?api={OWN}"
    assert (await world.ask("GET", socket, *UPGRADE, caller.bearer)).status == (200 if granted else 403)
    told = {(each["atek-auth-user"], each["atek-auth-service"]) for each in node.requests}
    assert told == ({(owner, "key-of-caller")} if granted else set())


async def test_an_administrator_and_a_person_at_the_nodes_own_pages_may_call_them(world: World) -> None:
    """A person's rights are known to the APIs; a page of a service is no page of the node."""
    node = await world.service(NODE, exports=(Export(OWN, "/own"),))
    await world.service()
    world.sign_in({"s1": Session("bob")}, private=False)
    target, body = f"/_atek/gateway?api={OWN}", orjson.dumps(call())
    assert "result" in (await world.post(call(), api=OWN)).json
    cookie, page = "Cookie: session=s1", "Origin: http://notes.localhost"
    assert "result" in (await world.ask("POST", target, cookie, body=body)).json
    assert (await world.ask("POST", target, cookie, page, body=body)).status == 401
    assert [each["atek-auth-user"] for each in node.requests] == ["system", "bob"]


# -- pages


@pytest.mark.parametrize(
    ("site", "mode", "known"),
    [
        ("same-origin", "cors", True),
        ("none", "navigate", True),
        ("cross-site", "navigate", True),
        ("same-site", "navigate", True),
        ("same-site", "no-cors", False),
        ("cross-site", "no-cors", False),
        ("cross-site", "cors", False),
    ],
)
async def test_what_a_page_loads_from_another_host_is_not_asked_by_its_reader(
    world: World, site: str, mode: str, *, known: bool
) -> None:
    """A picture's address needs no Origin. The pages of one service are no part of another."""
    service = await world.service()
    world.sign_in({"s1": Session("bob")}, private=False)
    fields = (service.cookie("s1"), f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}")
    assert (await world.ask("GET", "/", *fields, host="notes.localhost")).status == 200
    assert service.request["atek-auth-user"] == ("bob" if known else "")
    assert service.request["cookie"] == ""


@pytest.mark.parametrize(
    ("private", "state", "given"),
    [(False, "0" * 32, False), (True, "0" * 32, True), (True, "", False), (True, "no state", False)],
)
async def test_a_host_that_would_not_take_it_is_given_no_token_for_a_session(
    world: World, state: str, *, private: bool, given: bool
) -> None:
    """It would stand in the address that reaches the service, or be good in any browser."""
    await world.service()
    target = f"/_atek/bind-session?service=notes&path=%2Fa%3Fb&state={state.replace(' ', '+')}"
    world.sign_in({"s1": Session("bob")}, private=private)
    answer = await world.ask("GET", target, "Cookie: session=s1")
    there, _, token = answer["location"].partition("&bst=")
    assert (answer.status, there, bool(token)) == (302, "http://notes.localhost/a?b", given)
    assert len(world.plane.bindings) == given


# -- what is read as another request


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("method", "closes"),
    [("GET", True), ("DELETE", True), ("OPTIONS", True), ("POST", False), ("PUT", False)],
)
async def test_a_body_where_servers_expect_none_is_the_last_thing_on_its_connection(
    world: World, method: str, *, closes: bool, chunked: bool
) -> None:
    """A server that does not read it takes it for a request, in which everything can be said."""
    forged = request("GET", "/forged", "Atek-Auth-User: system")
    service = await world.service()
    client = await world.connect()
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(forged)}"
    head = request(method, "/", framing, host="notes.localhost")
    await client.send(head + (chunks(forged) if chunked else forged))
    assert (await client.answer()).body.endswith(forged)
    assert service.request["connection"] == ("close" if closes else "")
    await client.send(request(method, "/bare", host="notes.localhost"))
    await client.answer()
    assert service.requests[1]["connection"] == ""


# -- in a program's own way

SIGN_IN = (("header", "X-Webauth-User"), ("email", "X-Its-Mail"), ("name", "Full-Name"))
FORGED = (
    "X-Webauth-User: root",
    "x_webauth_user: root",
    "X-WEBAUTH_USER: root",
    "X-Its-Mail: root@example.com",
    "X_Its_Mail: root@example.com",
    "full.name: root",
    "FULL-NAME: root",
)


@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("listed", [False, True])
async def test_a_program_is_told_in_its_own_way_and_by_nobody_else(
    world: World, *, upgrade: bool, listed: bool
) -> None:
    service = await world.service(sign_in=SIGN_IN)
    world.sign_in({"s1": Session("k1", "bob"), "s2": Session("k2", "eve@example.com")}, private=True)
    options = [*(["Upgrade"] if upgrade else []), *(["X-Webauth-User", "Full-Name"] if listed else [])]
    more = (*FORGED, f"Connection: {', '.join(options)}", *(["Upgrade: websocket"] if upgrade else []))
    for cookie in (service.cookie("s1"), service.cookie("s2"), f"Authorization: Bearer {ADMIN}"):
        await world.ask("GET", "/", cookie, *more, host=service.host)
    names = ("x-webauth-user", "x-its-mail", "full-name")
    told = [
        [value for name, value in each.fields if plain_name(name.encode()).decode() in names]
        for each in service.requests
    ]
    assert told == [["bob", "bob@localhost", "bob"], ["eve@example.com"] * 3, []]


async def test_nor_does_it_hear_of_it_in_what_follows_a_body(world: World) -> None:
    service = await world.service(sign_in=SIGN_IN)
    client = await world.connect()
    head = request("POST", "/", "Transfer-Encoding: chunked", "Trailer: X-Webauth-User", host=service.host)
    await client.send(head + b"1\r\nx\r\n0\r\nX-Webauth-User: root\r\nX-Its-Mail: root\r\n\r\n")
    assert (await client.answer()).status == 200
    assert "root" not in service.request.raw.decode() and service.request.body == b"x"


@pytest.mark.parametrize("name", ["bob\r\nX-Admin: 1", "bob\nx", "bob\x00", "bob\x7f", "\u2028"])
async def test_a_name_that_no_field_can_carry_is_told_to_nobody(world: World, name: str) -> None:
    service = await world.service(sign_in=SIGN_IN)
    world.sign_in({"s1": Session("k1", name)}, private=True)
    await world.ask("GET", "/", service.cookie("s1"), host=service.host)
    assert service.request.names.isdisjoint({"x-webauth-user", "x-its-mail", "full-name", "x-admin", "x"})


async def test_a_name_is_told_as_it_is_written(world: World) -> None:
    service = await world.service(sign_in=SIGN_IN[:1])
    world.sign_in({"s1": Session("k1", "Zoë")}, private=True)
    await world.ask("GET", "/", service.cookie("s1"), host=service.host)
    assert service.request["x-webauth-user"].encode("latin-1").decode() == "Zoë"
