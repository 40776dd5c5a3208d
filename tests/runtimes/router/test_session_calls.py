"""Calls about sessions: they go to the node as they are, and its answers set cookies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from runtimes.router.decide.bound_sessions import bound_value, cookie_name
from runtimes.router.decide.place import LARGEST_FORM, USER_SESSIONS_API
from runtimes.router.decide.table import HANDLE, NODE, Credential, Export, Session, session_id
from runtimes.router.limits import Limits
from runtimes.router.protocol import fields
from tests.runtimes.router.harness import ADMIN, call
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio

TARGET = f"/_atek/gateway?api={USER_SESSIONS_API}"
EXPORTS = (Export(USER_SESSIONS_API, "/_atek/api/user-sessions"),)
COOKIE = "session=new; Path=/; HttpOnly; SameSite=Lax"
OF_BOB = "Cookie: a=b; session=of-bob"


async def sign_in(asked: Asked) -> None:
    await asked.body()
    await asked.respond(200, b'{"jsonrpc":"2.0","id":1,"result":{}}', f"Set-Cookie: {COOKIE}")


async def the_node(world: World) -> Service:
    """With the API, and bob signed in."""
    world.sign_in({"of-bob": Session("bob", "Bob")}, private=True)
    return await world.service(NODE, sign_in, exports=EXPORTS)


async def ask(world: World, *fields: str, method: str = "login") -> Message:
    return await world.ask("POST", TARGET, *fields, body=orjson.dumps(call(method)))


async def test_the_node_hears_who_asks_and_from_where_and_sets_a_cookie(world: World) -> None:
    node = await the_node(world)
    answer = await ask(world, "User-Agent: Firefox", "X-Forwarded-For: 6.6.6.6", "Atek-Auth-Session: forged")
    assert (answer.status, answer["set-cookie"]) == (200, COOKIE)
    asked = node.request
    assert asked.target == "/_atek/api/user-sessions"
    assert (asked["user-agent"], asked["x-forwarded-for"]) == ("Firefox", "127.0.0.1")
    assert not {"atek-auth-user", "atek-auth-service", "atek-auth-session"} & asked.names


async def test_the_node_hears_by_which_session_and_never_its_cookie(world: World) -> None:
    node = await the_node(world)
    await ask(world, OF_BOB, "Atek-Auth-Session: forged", method="whoami")
    asked = node.request
    assert (asked["atek-auth-user"], asked["atek-auth-session"]) == ("bob", session_id("of-bob"))
    assert asked["cookie"] == "a=b"


async def test_a_cookie_that_nobody_gave_is_nobody(world: World) -> None:
    """Also where it is what a session is known by, which stands on disk."""
    node = await the_node(world)
    for cookie in ("guessed", session_id("of-bob"), ""):
        await ask(world, f"Cookie: session={cookie}", method="whoami")
    assert not any("atek-auth-session" in each.names for each in node.requests)


@pytest.mark.parametrize(
    "field",
    [
        "Origin: http://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Origin: http://notes.localhost",
        "Origin: null",
    ],
)
async def test_no_page_of_another_site_signs_anybody_in_or_out(world: World, field: str) -> None:
    """Nor one of a service's host: it could sign people in as somebody else."""
    node = await the_node(world)
    for method in ("login", "logout", "whoami"):
        answer = await ask(world, OF_BOB, field, method=method)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.names
    assert not node.requests
    assert (await ask(world, OF_BOB, "Origin: http://localhost", method="logout")).status == 200


async def test_a_token_is_no_session(world: World) -> None:
    node = await the_node(world)
    await ask(world, OF_BOB, f"Authorization: Bearer {ADMIN}")
    assert node.request["atek-auth-user"] == "system"
    assert "atek-auth-session" not in node.request.names


async def test_a_service_asks_only_where_its_manifest_lets_it(world: World) -> None:
    node = await the_node(world)
    for name, allow in (("shut", ()), ("open", (USER_SESSIONS_API,))):
        await world.service(name, credentials=(Credential(f"of-{name}"),), allow=allow)
    assert (await ask(world, "Authorization: Bearer of-shut")).status == 403
    assert not node.requests
    assert (await ask(world, "Authorization: Bearer of-open")).status == 200
    assert (await ask(world, "Authorization: Bearer of-nobody")).status == 200
    assert "atek-auth-user" not in node.requests[-1].names


async def test_who_is_not_known_asks_so_often_and_sends_so_much(world: World) -> None:
    world.replace_plane(Limits(anonymous=3))
    node = await the_node(world)
    assert (await world.ask("POST", TARGET, body=b" " * (LARGEST_FORM + 1))).status == 413
    client = await world.connect()
    await client.send(request("POST", TARGET, "Transfer-Encoding: chunked"))
    assert (await client.answer()).status == 411
    assert [(await ask(world)).status for _ in range(5)] == [200, 200, 200, 429, 429]
    assert (await ask(world, OF_BOB)).status == 200
    assert len(node.requests) == 4


async def test_the_secure_cookie_is_the_same_session(world: World) -> None:
    node = await the_node(world)
    await ask(world, "Cookie: __Host-session=of-bob", method="whoami")
    assert node.request["atek-auth-session"] == session_id("of-bob")
    assert "cookie" not in node.request.names


async def test_forms_are_for_everybody(world: World) -> None:
    node = await the_node(world)
    body = b"code=1"
    assert (await world.ask("GET", "/_atek/setup?code=1")).status == 200
    assert (await world.ask("POST", "/_atek/setup", body=body)).status == 200
    assert (await world.ask("POST", "/_atek/setup", "Origin: http://evil.example", body=body)).status == 403
    assert (await world.ask("POST", "/_atek/setup", body=b" " * (LARGEST_FORM + 1))).status == 413
    assert len(node.requests) == 2


async def test_it_is_known_which_sessions_are_used_at_whatever_host(world: World) -> None:
    """Also where a request is answered by what was decided before."""
    people = {"of-bob": Session("bob", "Bob"), "of-eve": Session("eve", "Eve"), "idle": Session("bob", "Bob")}
    world.sign_in(people, private=True)
    await world.service(NODE, sign_in, exports=EXPORTS)
    notes = await world.service("notes", owner="eve")
    bob, eve = session_id("of-bob"), session_id("of-eve")
    at_notes = cookie_name(notes.route, secure=False).decode()
    value = bound_value(world.plane.table, eve, notes.route)
    for _ in range(2):
        await ask(world, OF_BOB, method="whoami")
        await ask(world, "Cookie: session=guessed", method="whoami")
        found = await world.ask("GET", "/", f"Cookie: {at_notes}={value}", host=notes.host)
        assert found.status == 200
        forged = f"Cookie: {at_notes}={session_id('idle')[:HANDLE]}{'0' * 64}"
        assert (await world.ask("GET", "/", forged, host=notes.host)).status == 401
        assert world.plane.take_seen() == sorted([bob, eve])
    assert world.plane.take_seen() == []


async def by_what_stands_on_disk(world: World) -> bool:
    """Whoever reads the node's state, or its router's memory, has no cookie by that."""
    node = await the_node(world)
    await ask(world, f"Cookie: session={session_id('of-bob')}", method="whoami")
    return "atek-auth-session" in node.request.names


async def by_a_page_that_signs_its_visitors_in(world: World) -> bool:
    """As the attacker, who then reads what they write (login CSRF)."""
    await the_node(world)
    answer = await ask(world, "Origin: http://evil.example", "Content-Type: text/plain")
    return "set-cookie" in answer.names


async def by_saying_so(world: World) -> bool:
    node = await the_node(world)
    await ask(world, f"Atek-Auth-Session: {session_id('of-bob')}", method="whoami")
    return "atek-auth-session" in node.request.names


def _with_sessions(name: bytes, rule: Any = fields._is_passed) -> bool:
    return name == b"Atek-Auth-Session" or rule(name)


ATTACKS: list[tuple[Any, str, Any]] = [
    (by_what_stands_on_disk, "runtimes.router.decide.sessions.session_id", lambda text: text),
    (by_a_page_that_signs_its_visitors_in, "runtimes.router.decide.request.cross_site", lambda *_: None),
    (by_saying_so, "runtimes.router.protocol.fields._is_passed", _with_sessions),
]


@pytest.mark.parametrize("each", ATTACKS, ids=[each[0].__name__ for each in ATTACKS])
@pytest.mark.parametrize("guarded", [True, False])
async def test_nobody_is_signed_in_because_of_its_guard(
    world: World, monkeypatch: pytest.MonkeyPatch, each: tuple[Any, str, Any], *, guarded: bool
) -> None:
    attack, guard, without = each
    if not guarded:
        monkeypatch.setattr(guard, without)
        monkeypatch.setattr("runtimes.router.protocol.request_head._requests", {})
    assert await attack(world) is not guarded
