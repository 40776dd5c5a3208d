"""Attempts to be somebody else at a service's host, or to have somebody else be whom one likes."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.router.carry import bindings, session_binding
from runtimes.router.decide import binding, bound_sessions, identity, passed_fields, request, sessions
from runtimes.router.decide.table import NODE, Session, session_id
from tests.runtimes.router.attacks import Attack, Attacks, without
from tests.runtimes.router.harness import sessions as ids

if TYPE_CHECKING:
    from runtimes.router.carry.bindings import Binding, Bindings
    from runtimes.router.decide.table import ServiceRoute
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio
attack = Attacks()

BROWSER = "Accept: text/html"
PEOPLE = {"of-bob": Session("bob", "bob"), "of-eve": Session("eve", "eve")}
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Version: 13")


async def home(world: World, **more: Any) -> Service:
    world.sign_in(PEOPLE, private=True)
    return await world.service("notes", **more)


def cookies(answer: Message) -> list[str]:
    return [value.partition(";")[0] for name, value in answer.fields if name == "set-cookie"]


async def link_of_eve(world: World, service: Service) -> tuple[str, str]:
    """One that signs a browser in as eve, and the cookie of the browser that it is for."""
    asked = await world.ask("GET", "/", BROWSER, host=service.host)
    target = asked["location"].partition(f"localhost:{world.port}")[2]
    given = await world.ask("GET", target, "Cookie: session=of-eve", host=f"localhost:{world.port}")
    return given["location"].partition(service.host)[2], f"Cookie: {cookies(asked)[-1]}"


# -- whom a browser is taken for


@attack(without(session_binding, "_is_same_browser", lambda *_: True))
async def have_a_stranger_follow_ones_link(world: World) -> bool:
    """Session fixation: what the stranger writes from then on, eve reads."""
    service = await home(world)
    theirs, _ = await link_of_eve(world, service)
    own = await world.ask("GET", "/", BROWSER, host=service.host)
    answer = await world.ask("GET", theirs, BROWSER, f"Cookie: {cookies(own)[-1]}", host=service.host)
    return bool(cookies(answer))


def _take_and_leave(self: Bindings, token: str, service_id: str, now: float) -> Binding | None:
    return self._tokens[token][0] if token in self._tokens else None


@attack(without(bindings.Bindings, "take", _take_and_leave))
async def use_a_link_again(world: World) -> bool:
    """It stands in the history of the browser, and in the log of a proxy."""
    service = await home(world)
    link, way = await link_of_eve(world, service)
    first = await world.ask("GET", link, way, host=service.host)
    second = await world.ask("GET", link, way, host=service.host)
    return bool(cookies(first)) and bool(cookies(second))


@attack(without(bound_sessions, "_is_right", lambda given, right: True))
async def make_a_cookie_from_what_is_on_disk(world: World) -> bool:
    """Whoever reads a backup has the ids of sessions, and not what makes cookies of them."""
    service = await home(world)
    (session,) = ids({"of-bob": PEOPLE["of-bob"]})
    name = bound_sessions.cookie_name(service.route, secure=False).decode()
    await world.ask("GET", "/", f"Cookie: {name}={session[:32]}{'0' * 64}", host=service.host)
    return bool(service.requests)


@attack(without(sessions, "session_id", lambda cookie: cookie))
async def show_the_node_what_is_on_disk(world: World) -> bool:
    service = await home(world)
    target = f"/_atek/bind-session?service={service.id}&path=%2F&state={'0' * 32}"
    answer = await world.ask("GET", target, f"Cookie: session={session_id('of-bob')}")
    return "bst=" in answer["location"]


def _mac_of_session(key: bytes, session: str, service: ServiceRoute) -> str:
    return hmac.new(key, session.encode(), hashlib.sha256).hexdigest()


@attack(without(bound_sessions, "_mac", _mac_of_session))
async def take_a_cookie_to_another_host(world: World) -> bool:
    """What a service got to see of it, in whatever way, is good there alone."""
    service = await home(world)
    evil = await world.service("evil", owner="eve")
    seen = evil.cookie("of-bob").partition("=")[2]
    name = bound_sessions.cookie_name(service.route, secure=False).decode()
    await world.ask("GET", "/", f"Cookie: {name}={seen}", host=service.host)
    return bool(service.requests)


@attack(without(identity, "session_at", lambda table, service, cookie: sessions.session_of(table, cookie)))
async def use_the_nodes_cookie_at_a_service(world: World) -> bool:
    service = await home(world)
    await world.ask("GET", "/", "Cookie: session=of-bob", host=service.host)
    return bool(service.requests)


@attack(without(sessions, "is_nodes", lambda name: False))
async def be_sent_ones_visitors_cookies(world: World) -> bool:
    service = await home(world)
    await world.ask("GET", "/", service.cookie("of-bob"), host=service.host)
    return "cookie" in service.request.names


# -- what a page of another site has done


@attack(without(request, "cross_site", lambda head, place: None))
async def sign_somebody_out(world: World) -> bool:
    await home(world)
    node = await world.service(NODE, exports=())
    said = ("Cookie: session=of-bob", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    await world.ask("POST", "/_atek/logout", *said, "Origin: http://evil.example", body=b"")
    return bool(node.requests)


@attack(without(request, "cross_site", lambda head, place: None))
async def sign_somebody_in_as_oneself(world: World) -> bool:
    await home(world)
    node = await world.service(NODE, exports=())
    form = ("Content-Type: application/x-www-form-urlencoded", "Origin: http://notes.localhost")
    await world.ask("POST", "/_atek/login", *form, body=b"username=eve&password=evespassword")
    return bool(node.requests)


@attack(without(request, "cross_site", lambda head, place: None))
async def open_a_websocket_in_somebodys_name(world: World) -> bool:
    service = await home(world)
    said = (service.cookie("of-bob"), "Sec-Fetch-Site: same-origin", f"Origin: http://{service.host}")
    assert (await world.ask("GET", "/", *said, *UPGRADE, host=service.host)).status == 200
    foreign = (service.cookie("of-bob"), "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    await world.ask("GET", "/", *foreign, *UPGRADE, host=service.host)
    return len(service.requests) > 1


@attack(without(binding, "_local", lambda target: target))
async def lead_somebody_elsewhere(world: World) -> bool:
    """An open redirect: the address begins with the service's name, and ends at a stranger's."""
    service = await home(world)
    answer = await world.ask("GET", "//evil.example/?bst=x", BROWSER, host=service.host)
    return answer["location"].startswith("//")


# -- who a program is told that somebody is


@attack(without(passed_fields, "plain_name", lambda name: name.lower()))
async def tell_a_program_that_one_is_its_owner(world: World) -> bool:
    """Many read `_` as `-`."""
    service = await home(world, sign_in=(("header", "X-Its-User"),))
    await world.ask("GET", "/", service.cookie("of-eve"), "X_Its_User: bob", host=service.host)
    return b"X_Its_User" in service.request.raw


@pytest.mark.parametrize("each", attack, ids=lambda each: each.name)
@pytest.mark.parametrize("guarded", [True, False])
async def test_each_fails_because_of_its_guard(
    world: World, monkeypatch: pytest.MonkeyPatch, each: Attack, *, guarded: bool
) -> None:
    await each.check(world, monkeypatch, guarded=guarded)
