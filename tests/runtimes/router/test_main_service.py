"""A service in the place of the node's front page: whom it is for, and what its pages may in their name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from orjson import dumps

from runtimes.router.decide import identity
from runtimes.router.decide.table import NODE, Export, Session
from runtimes.router.protocol import answer_head, page_answers
from runtimes.router.protocol.page_answers import Reader
from tests.runtimes.router.harness import API, call
from tests.runtimes.router.instances import says

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


@pytest.mark.parametrize(
    "cookie",
    [
        "session=x; Path=/",
        " session = x",
        "__Host-session=x; Path=/; Secure",
        "=session=x",
        "session",
        "\tsession=x; Path=/_atek",
    ],
)
async def test_it_signs_nobody_in_as_somebody_else(
    world: World, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own answers: the node's cookie is for the node alone to set."""
    world.sign_in(PEOPLE, private=True)
    ui = await world.service(
        "ui", says(200, "", f"Set-Cookie: {cookie}", "Set-Cookie: own=1"), access="members"
    )
    answer = await world.ask("GET", "/", "Cookie: session=of-bob")
    assert answer["set-cookie"] == "own=1"
    monkeypatch.setattr(page_answers, "is_session", lambda cookie: False)
    answer_head._answers[Reader.OWN_PAGE_AT_NODE].clear()
    tossed = await world.ask("GET", "/", "Cookie: session=of-bob")
    assert len([name for name, _ in tossed.fields if name == "set-cookie"]) == 2
    answer_head._answers[Reader.OWN_PAGE_AT_NODE].clear()
    # At a host of its own it may have a cookie of any name.
    there = await world.ask("GET", "/", ui.cookie("of-bob"), host=ui.host)
    assert len([name for name, _ in there.fields if name == "set-cookie"]) == 2


@pytest.mark.parametrize(
    ("cookies", "who"),
    [
        ("session=of-bob", "bob"),
        ("session=over; session=of-bob", "bob"),
        ("session=of-eve; session=of-bob", ""),
        ("session=of-bob; session=of-eve", ""),
        ("session=of-eve; __Host-session=of-bob", "bob"),
        ("__Host-session=of-bob; session=of-eve", "bob"),
    ],
)
async def test_a_page_of_its_tosses_nobody_anothers_cookie(world: World, cookies: str, who: str) -> None:
    """A script can set one for a longer path, which a browser sends first."""
    await home(world)
    notes = await world.service()
    await world.ask("POST", f"/_atek/gateway?api={API}", f"Cookie: {cookies}", body=dumps(call()))
    assert [each["atek-auth-user"] for each in notes.requests] == ([who] if who else [])


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


async def test_no_more_than_the_person_may(world: World) -> None:
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
