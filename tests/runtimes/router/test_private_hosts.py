"""Host names that only people may see who are allowed to: the way there, and who may go it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest

from runtimes.router.carry.bindings import GOOD_FOR
from runtimes.router.decide.table import Session
from tests.runtimes.router.harness import ADMIN

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio

BROWSER = "Accept: text/html,application/xhtml+xml;q=0.9"
SESSIONS = {"of-bob": Session("bob"), "of-eve": Session("eve"), "of-root": Session("root", role="admin")}
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Version: 13")


async def bobs(world: World, service_id: str = "notes") -> Service:
    """A service that is bob's own, on a node whose hosts are private."""
    world.sign_in(SESSIONS, private=True)
    return await world.service(service_id, owner="bob")


async def follow(world: World, location: str, *fields: str) -> Message:
    """What a browser gets at an absolute URL of this node."""
    scheme, _, rest = location.partition("://")
    host, slash, target = rest.partition("/")
    assert scheme == "http" and host.endswith(f":{world.port}")
    return await world.ask("GET", slash + target, BROWSER, *fields, host=host)


async def token_for(world: World, service: Service) -> str:
    """The parameter that bind-session gives to bob's browser."""
    target = f"/_atek/bind-session?service={service.id}&path=%2F"
    answer = await world.ask("GET", target, "Cookie: session=of-bob", host=f"localhost:{world.port}")
    return answer["location"].partition("?")[2]


# -- the way


async def test_a_browser_finds_its_way_from_a_services_host_and_back(world: World) -> None:
    service = await bobs(world)
    here = await world.ask("GET", "/a?b=1&c", BROWSER, host=service.host)
    assert (here.status, here["cache-control"]) == (302, "no-store")
    node = f"http://localhost:{world.port}"
    assert here["location"] == f"{node}/_atek/bind-session?service=notes&path=%2Fa%3Fb%3D1%26c"

    there = await follow(world, here["location"], "Cookie: session=of-bob")
    assert there.status == 302
    back, _, token = there["location"].rpartition("&bst=")
    assert back == f"http://{service.host}/a?b=1&c" and len(token) >= 32

    bound = await follow(world, there["location"])
    assert (bound.status, bound["location"]) == (302, "/a?b=1&c")
    assert bound["set-cookie"] == "session=of-bob; Path=/; HttpOnly; SameSite=Lax"
    assert service.requests == []

    arrived = await world.ask("GET", "/a?b=1&c", BROWSER, "Cookie: session=of-bob", host=service.host)
    assert arrived.body == b"GET /a?b=1&c\n"
    reached = service.request
    assert (reached["atek-auth-user"], reached["atek-auth-service"]) == ("bob", "key-of-notes")
    assert "bst" not in reached.raw.decode() and "cookie" not in reached.names


@pytest.mark.parametrize("trusted", [True, False])
async def test_behind_a_proxy_that_speaks_https_the_way_is_https(world: World, trusted: bool) -> None:
    world.replace_plane(trusted_proxies=["127.0.0.1"] if trusted else [])
    service, said = await bobs(world), "X-Forwarded-Proto: https"
    here = await world.ask("GET", "/a", BROWSER, said, host=service.host)
    node = f"localhost:{world.port}"
    target = here["location"].partition(node)[2]
    there = await world.ask("GET", target, BROWSER, said, "Cookie: session=of-bob", host=node)
    scheme = "https" if trusted else "http"
    assert here["location"].startswith(f"{scheme}://{node}/")
    assert there["location"].startswith(f"{scheme}://{service.host}/a?bst=")


async def test_without_a_session_there_either_a_browser_is_sent_to_log_in(world: World) -> None:
    service = await bobs(world)
    here = await world.ask("GET", "/a", BROWSER, host=service.host)
    there = await follow(world, here["location"])
    assert (there.status, there["location"]) == (302, "/_atek/login?service=notes&path=%2Fa")


@pytest.mark.parametrize("service_id", ["", "nothing"])
async def test_nothing_is_bound_to_a_service_that_does_not_exist(world: World, service_id: str) -> None:
    await bobs(world)
    target = f"/_atek/bind-session?service={service_id}"
    assert (await world.ask("GET", target, "Cookie: session=of-bob")).status == 404


# -- the token


async def test_a_token_is_good_once(world: World) -> None:
    service = await bobs(world)
    token = await token_for(world, service)
    assert (await world.ask("GET", f"/?{token}", host=service.host))["set-cookie"]
    again = await world.ask("GET", f"/?{token}", host=service.host)
    assert (again.status, again["location"], again["set-cookie"]) == (302, "/", "")


async def test_a_token_is_no_good_at_another_service_nor_afterwards(world: World) -> None:
    service, other = await bobs(world), await bobs(world, "other")
    token = await token_for(world, service)
    assert (await world.ask("GET", f"/?{token}", host=other.host))["set-cookie"] == ""
    assert (await world.ask("GET", f"/?{token}", host=service.host))["set-cookie"] == ""
    assert service.requests == other.requests == []


async def test_a_token_is_no_good_after_its_time(world: World) -> None:
    service = await bobs(world)
    token = world.plane.bindings.make("of-bob", service.id, monotonic() - GOOD_FOR)
    assert (await world.ask("GET", f"/?bst={token}", host=service.host))["set-cookie"] == ""


async def test_a_token_never_reaches_the_service(world: World) -> None:
    service = await bobs(world)
    fields = ("Cookie: session=of-bob",)
    for query in ("bst=wrong", "a=1&bst=wrong", "bst=wrong&bst=again"):
        answer = await world.ask("GET", f"/?{query}", *fields, host=service.host)
        assert answer.status == 302 and "bst" not in answer["location"]
    assert service.requests == []


# -- who may


@pytest.mark.parametrize(
    ("owner", "session", "status"),
    [
        ("bob", "of-bob", 200),
        ("bob", "of-eve", 403),
        ("bob", "of-root", 200),
        ("system", "of-bob", 200),
        ("system", "of-eve", 200),
    ],
)
async def test_owners_and_admins_may_and_everybody_where_a_service_is_for_all(
    world: World, owner: str, session: str, status: int
) -> None:
    service = await bobs(world)
    service.publish(*service.instances, owner=owner)
    answer = await world.ask("GET", "/", BROWSER, f"Cookie: session={session}", host=service.host)
    assert answer.status == status
    assert len(service.requests) == (status == 200)


async def test_services_may_where_their_owners_may(world: World) -> None:
    service = await bobs(world)
    own = await world.service("own", owner="bob", exports=())
    foreign = await world.service("foreign", owner="eve", exports=())
    bearers = [own.bearer, foreign.bearer, f"Authorization: Bearer {ADMIN}"]
    statuses = [(await world.ask("GET", "/", bearer, host=service.host)).status for bearer in bearers]
    assert statuses == [200, 403, 200]


async def test_a_session_that_ended_is_none(world: World) -> None:
    service = await bobs(world)
    fields = (BROWSER, "Cookie: session=of-bob")
    assert (await world.ask("GET", "/", *fields, host=service.host)).status == 200
    world.sign_in({}, private=True)
    assert (await world.ask("GET", "/", *fields, host=service.host)).status == 302
    assert len(service.requests) == 1


async def test_a_page_of_another_origin_is_nobody(world: World) -> None:
    service = await bobs(world)
    cookie = "Cookie: session=of-bob"
    for origin, status in ((f"http://{service.host}", 200), ("http://evil.localhost", 401), ("null", 401)):
        answer = await world.ask("POST", "/", cookie, f"Origin: {origin}", host=service.host, body=b"x")
        assert answer.status == status


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET", ()),
        ("GET", ("Accept: application/json",)),
        ("POST", (BROWSER,)),
        ("GET", (BROWSER, *UPGRADE)),
    ],
    ids=["no accept", "json", "post", "websocket"],
)
async def test_only_pages_are_redirected(world: World, method: str, fields: tuple[str, ...]) -> None:
    service = await bobs(world)
    answer = await world.ask(method, "/", *fields, host=service.host)
    assert (answer.status, answer.json) == (401, {"error": True, "message": "Not authorized"})
    assert service.requests == []


async def test_hosts_that_are_not_private_are_for_everybody(world: World) -> None:
    service = await bobs(world)
    world.sign_in(SESSIONS, private=False)
    assert (await world.ask("GET", "/", BROWSER, host=service.host)).status == 200
    assert "atek-auth-user" not in service.request.names
