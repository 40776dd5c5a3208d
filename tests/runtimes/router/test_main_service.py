"""A service in the place of the node's front page: whom it is for, and what its pages may in their name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from orjson import dumps

from runtimes.router.decide import identity
from runtimes.router.decide.table import NODE, Export, Session
from tests.runtimes.router.harness import API, call

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World

pytestmark = pytest.mark.anyio

OWN = "atek.cloud/services-api"
PEOPLE = {
    "of-ann": Session("ann", "ann", "admin", "ui"),
    "of-bob": Session("bob", "bob", "", "ui"),
    "of-eve": Session("eve", "eve", "guest", "ui"),
    "of-tom": Session("tom", "tom", "", "gone"),
    "of-kim": Session("kim", "kim"),
}


async def home(world: World, allow: tuple[str, ...] | None = None) -> tuple[Service, Service]:
    """The main service of some, and the node."""
    world.sign_in(PEOPLE, private=True)
    node = await world.service(NODE, exports=(Export(OWN, "/own"),))
    return await world.service("ui", exports=(), allow=allow, access="members"), node


async def lands(world: World, service: Service, session: str, target: str = "/") -> bool:
    before = len(service.requests)
    await world.ask("GET", target, f"Cookie: session={session}")
    return len(service.requests) > before


@pytest.mark.parametrize(
    ("session", "at_main"),
    [
        ("of-ann", True),
        ("of-bob", True),
        ("of-eve", False),
        ("of-tom", False),
        ("of-kim", False),
        ("no", False),
    ],
)
async def test_it_is_at_the_root_for_whom_it_is(world: World, session: str, *, at_main: bool) -> None:
    ui, _ = await home(world)
    for target in ("/", "/a/b?c", "/index.js"):
        assert await lands(world, ui, session, target) is at_main
    for target in ("/livez", "/readyz", "/metrics", "/_atek/login", "/_atek/else", "/_atek/gateway"):
        assert not await lands(world, ui, session, target)


async def test_while_it_is_away_there_is_the_front(world: World) -> None:
    ui, node = await home(world)
    ui.publish()
    assert await lands(world, node, "of-bob")
    ui.publish(*ui.instances)
    assert await lands(world, ui, "of-bob")


async def test_it_hears_who_that_is_and_not_by_which_cookie(world: World) -> None:
    ui, _ = await home(world)
    await world.ask("GET", "/", "Cookie: session=of-bob; a=b")
    assert (ui.request["atek-auth-user"], ui.request["cookie"]) == ("bob", "a=b")


async def test_what_another_page_loads_is_not_led_there(world: World) -> None:
    ui, _ = await home(world)
    said = ("Cookie: session=of-bob", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors")
    await world.ask("GET", "/a", *said)
    assert ui.requests == []


@pytest.mark.parametrize("session", ["of-ann", "of-bob"])
@pytest.mark.parametrize(
    ("allow", "own", "other"),
    [
        (None, False, True),
        ((), False, False),
        (("*",), False, True),
        ((OWN,), True, False),
        (("atek.cloud/*", API), True, True),
    ],
)
async def test_its_pages_call_what_both_may(
    world: World, session: str, allow: tuple[str, ...] | None, *, own: bool, other: bool
) -> None:
    _, node = await home(world, allow)
    notes = await world.service()
    for service, api, may in ((node, OWN, own), (notes, API, other)):
        target = f"/_atek/gateway?api={api}"
        answer = await world.ask("POST", target, f"Cookie: session={session}", body=dumps(call()))
        assert ("result" in answer.json) is may, api
        told = [(each["atek-auth-user"], each["atek-auth-service"]) for each in service.requests]
        assert told == ([(session.removeprefix("of-"), service.route.key)] if may else [])


async def test_no_more_than_the_person_may(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await home(world, ("atek.cloud/*", "*"))
    private = await world.service(owner="ann")
    target, cookie = f"/_atek/gateway?api={API}", "Cookie: session=of-bob"
    assert "error" in (await world.ask("POST", target, cookie, body=dumps(call()))).json
    assert private.requests == []


async def test_its_guard_is_what_keeps_it_from_the_nodes_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home(world)
    target, cookie = f"/_atek/gateway?api={OWN}", "Cookie: session=of-ann"
    assert "error" in (await world.ask("POST", target, cookie, body=dumps(call()))).json
    monkeypatch.setattr(identity, "on_page_of", lambda person, service: person)
    world.plane.decisions.clear()
    assert "result" in (await world.ask("POST", target, cookie, body=dumps(call()))).json
