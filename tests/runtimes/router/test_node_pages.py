"""The node's own pages, once there are people: who hears how it does, and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.router.carry import local_answer
from runtimes.router.decide.table import NODE, Session
from tests.runtimes.router.harness import ADMIN

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World

pytestmark = pytest.mark.anyio

READER = "a-token-to-read-with"
PEOPLE = {
    "of-ann": Session("ann", "ann", "admin"),
    "of-bob": Session("bob", "bob"),
    "of-gil": Session("gil", "gil", "guest"),
}
OWNERS = ("Cookie: session=of-ann", f"Authorization: Bearer {ADMIN}", f"Authorization: Bearer {READER}")
OTHERS = ("X-Nothing: 1", "Cookie: session=of-bob", "Cookie: session=of-gil", "Authorization: Bearer wrong")


async def home(world: World, *, private: bool = True) -> Service:
    """The node, as a service that answers everything."""
    world.replace_plane(readers=[READER], domain="home.example")
    world.sign_in(PEOPLE, private=private)
    return await world.service(NODE, exports=())


async def seen(world: World, node: Service, path: str, *fields: str) -> tuple[int, str]:
    """The status of what somebody gets, and what the node was told of details."""
    before = len(node.requests)
    answer = await world.ask("GET", path, *fields, host=f"localhost:{world.port}")
    told = node.requests[before:]
    return answer.status, told[0]["atek-auth-details"] if told else "not asked"


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
async def test_details_are_for_who_owns_it_or_was_given_a_token(
    world: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await home(world)
    monkeypatch.setattr(local_answer, "is_loopback", lambda _: False)
    for fields in OWNERS:
        assert await seen(world, node, path, fields) == (200, "")
    expected = {
        "/readyz": [(200, "none")] * 4,
        "/metrics": [(401, "not asked"), *[(403, "not asked")] * 2, (401, "not asked")],
    }
    assert [await seen(world, node, path, fields) for fields in OTHERS] == expected[path]


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
async def test_on_this_machine_they_are_for_everybody(world: World, path: str) -> None:
    node = await home(world)
    for fields in OTHERS:
        assert await seen(world, node, path, fields) == (200, "")
    # A proxy that runs here asks for others, and so does whoever uses another name.
    for fields in ("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Via: 1.1 proxy"):
        assert (await seen(world, node, path, fields))[1] != ""
    before = len(node.requests)
    await world.ask("GET", path, host="home.example")
    assert all(each["atek-auth-details"] == "none" for each in node.requests[before:])


@pytest.mark.parametrize("private", [False, True])
async def test_whether_it_lives_is_no_secret(
    world: World, private: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await home(world, private=private)
    monkeypatch.setattr(local_answer, "is_loopback", lambda _: False)
    assert await seen(world, node, "/livez") == (200, "")


async def test_without_people_all_is_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await home(world, private=False)
    monkeypatch.setattr(local_answer, "is_loopback", lambda _: False)
    for path in ("/", "/readyz", "/metrics"):
        assert await seen(world, node, path) == (200, "")
    assert all("atek-auth-user" not in each.names for each in node.requests)


async def test_the_front_is_for_who_is_signed_in(world: World) -> None:
    node = await home(world)
    for fields in ("X-Nothing: 1", f"Authorization: Bearer {READER}", "Cookie: session=over"):
        answer = await world.ask("GET", "/", fields)
        assert (answer.status, answer["location"]) == (302, "/_atek/login")
    for cookie in ("of-ann", "of-gil"):
        assert (await world.ask("GET", "/", f"Cookie: session={cookie}")).status == 200
    assert [each["atek-auth-user"] for each in node.requests] == ["ann", "gil"]


async def test_nobody_says_by_himself_what_he_may_see(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await home(world)
    monkeypatch.setattr(local_answer, "is_loopback", lambda _: False)
    forged = ("Atek-Auth-Details: all", "Atek-Auth-User: ann", "atek_auth_details: all")
    await world.ask("GET", "/readyz", *forged)
    (told,) = node.requests
    assert told["atek-auth-details"] == "none" and "ann" not in told.raw.decode()


async def test_a_token_to_read_with_is_good_for_nothing_else(world: World) -> None:
    await home(world)
    service = await world.service(owner="bob")
    bearer = f"Authorization: Bearer {READER}"
    assert (await world.ask("GET", "/", bearer, host=service.host)).status == 401
    assert (await world.post({}, token=READER)).status == 401
    service.publish(*service.instances, access="public")
    assert (await world.ask("GET", "/", bearer, host=service.host)).status == 200
    assert READER not in service.request.raw.decode()
    assert "atek-auth-user" not in service.request.names


async def test_who_signs_out_is_known_by_the_session(world: World) -> None:
    node = await home(world)
    await world.ask("POST", "/_atek/logout", "Cookie: session=of-bob", body=b"")
    await world.ask("POST", "/_atek/logout", body=b"")
    sessions = [each["atek-auth-session"] for each in node.requests]
    assert sessions == [
        next(each for each, who in world.plane.table.sessions.items() if who.user == "bob"),
        "",
    ]


@pytest.mark.parametrize("path", ["/_atek/logout", "/_atek/setup"])
async def test_a_page_of_another_site_sends_no_form(world: World, path: str) -> None:
    node = await home(world)
    for said in (
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: http://evil.example",
        "Origin: null",
    ):
        answer = await world.ask("POST", path, said, "Cookie: session=of-bob", body=b"")
        assert answer.status == 403
    assert node.requests == []
