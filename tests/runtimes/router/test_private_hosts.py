"""Host names that only people may see who are allowed to: the way there, and who may go it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from orjson import dumps

from runtimes.router.carry.bindings import GOOD_FOR
from runtimes.router.decide.table import Session
from tests.runtimes.router.harness import ADMIN, API, RPC, SOCKET, call

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio

GATEWAY = f"/_atek/gateway?api={API}"
BROWSER = "Accept: text/html,application/xhtml+xml;q=0.9"
SESSIONS = {
    "of-bob": Session("bob", "Bob"),
    "of-eve": Session("eve", "Eve"),
    "of-root": Session("root", "Root", "admin"),
    "of-gil": Session("gil", "Gil", "guest"),
}
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


def sent_back(answer: Message) -> list[str]:
    """What a browser sends of the cookies that it was just given, over HTTP."""
    cookies = [value for name, value in answer.fields if name == "set-cookie"]
    return [f"Cookie: {cookie.partition(';')[0]}" for cookie in cookies if "Secure" not in cookie]


async def token_for(world: World, service: Service) -> tuple[str, str]:
    """The parameter that bind-session gives to bob's browser, and the cookie of that browser."""
    asked = await world.ask("GET", "/", BROWSER, host=service.host)
    answer = await follow(world, asked["location"], "Cookie: session=of-bob")
    (way,) = sent_back(asked)
    return answer["location"].partition("?")[2], way


# -- the way


async def test_a_browser_finds_its_way_from_a_services_host_and_back(world: World) -> None:
    service = await bobs(world)
    here = await world.ask("GET", "/a?b=1&c", BROWSER, host=service.host)
    assert (here.status, here["cache-control"]) == (302, "no-store")
    node = f"http://localhost:{world.port}"
    there, _, state = here["location"].rpartition("&state=")
    assert there == f"{node}/_atek/bind-session?service=notes&path=%2Fa%3Fb%3D1%26c" and len(state) == 32
    (way,) = sent_back(here)
    assert state not in way

    given = await follow(world, here["location"], "Cookie: session=of-bob")
    assert given.status == 302
    back, _, token = given["location"].rpartition("&bst=")
    assert back == f"http://{service.host}/a?b=1&c" and len(token) >= 32

    bound = await follow(world, given["location"], way)
    assert (bound.status, bound["location"]) == (302, "/a?b=1&c")
    cookie, _, how = bound["set-cookie"].partition("; ")
    assert how == "Path=/; HttpOnly; SameSite=Lax"
    assert f"Cookie: {cookie}" == service.cookie("of-bob")
    assert service.requests == []

    arrived = await world.ask("GET", "/a?b=1&c", BROWSER, f"{way}; {cookie}", host=service.host)
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
    query = here["location"].partition("?")[2]
    assert (there.status, there["location"]) == (302, f"/_atek/login?{query}")
    assert query.startswith("service=notes&path=%2Fa&state=")


@pytest.mark.parametrize("service_id", ["", "nothing"])
async def test_nothing_is_bound_to_a_service_that_does_not_exist(world: World, service_id: str) -> None:
    await bobs(world)
    target = f"/_atek/bind-session?service={service_id}"
    assert (await world.ask("GET", target, "Cookie: session=of-bob")).status == 404


# -- the token


async def test_a_token_is_good_once(world: World) -> None:
    service = await bobs(world)
    token, way = await token_for(world, service)
    assert (await world.ask("GET", f"/?{token}", way, host=service.host))["set-cookie"]
    again = await world.ask("GET", f"/?{token}", way, host=service.host)
    assert (again.status, again["location"], again["set-cookie"]) == (302, "/", "")


async def test_a_token_is_no_good_at_another_service_nor_afterwards(world: World) -> None:
    service, other = await bobs(world), await bobs(world, "other")
    token, way = await token_for(world, service)
    assert (await world.ask("GET", f"/?{token}", way, host=other.host))["set-cookie"] == ""
    assert (await world.ask("GET", f"/?{token}", way, host=service.host))["set-cookie"] == ""
    assert service.requests == other.requests == []


async def test_a_token_is_no_good_after_its_time(world: World) -> None:
    service = await bobs(world)
    _, way = await token_for(world, service)
    ((binding, _),) = world.plane.bindings._tokens.values()
    for age, good in ((GOOD_FOR, False), (0.0, True)):
        token = world.plane.bindings.make(binding, monotonic() - age)
        answer = await world.ask("GET", f"/?bst={token}", way, host=service.host)
        assert bool(answer["set-cookie"]) is good


async def test_a_token_is_no_good_in_another_browser(world: World) -> None:
    """Whoever follows somebody else's link would be signed in as somebody else."""
    service = await bobs(world)
    theirs, _ = await token_for(world, service)
    for fields in ((), sent_back(await world.ask("GET", "/", BROWSER, host=service.host))):
        theirs, _ = await token_for(world, service)
        answer = await world.ask("GET", f"/?{theirs}", BROWSER, *fields, host=service.host)
        assert (answer.status, answer["set-cookie"]) == (403, "")
    assert service.requests == []


async def test_a_token_is_no_good_once_the_session_is_over(world: World) -> None:
    service = await bobs(world)
    token, way = await token_for(world, service)
    world.sign_in({}, private=True)
    answer = await world.ask("GET", f"/?{token}", way, host=service.host)
    assert (answer.status, answer["location"], answer["set-cookie"]) == (302, "/", "")


async def test_a_browser_with_several_windows_is_the_same_one(world: World) -> None:
    service = await bobs(world)
    first = await world.ask("GET", "/a", BROWSER, host=service.host)
    (way,) = sent_back(first)
    second = await world.ask("GET", "/b", BROWSER, way, host=service.host)
    assert second["set-cookie"] == ""
    for asked, path in ((second, "/b"), (first, "/a")):
        given = await follow(world, asked["location"], "Cookie: session=of-bob")
        bound = await follow(world, given["location"], way)
        assert (bound["location"], bool(bound["set-cookie"])) == (path, True)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_browser_that_keeps_secure_cookies_gets_one(world: World, scheme: str) -> None:
    """Some do so at localhost without TLS, others do not: it is tried."""
    world.replace_plane(trusted_proxies=["127.0.0.1"])
    service, said = await bobs(world), f"X-Forwarded-Proto: {scheme}"
    asked = await world.ask("GET", "/", BROWSER, said, host=service.host)
    offered = [value for name, value in asked.fields if name == "set-cookie"]
    assert [each.startswith("__Host-") and each.endswith("; Secure") for each in offered] == (
        [True] if scheme == "https" else [True, False]
    )
    node = f"localhost:{world.port}"
    target = asked["location"].partition(node)[2]
    given = await world.ask("GET", target, said, "Cookie: session=of-bob", host=node)
    way = f"Cookie: {'; '.join(each.partition(';')[0] for each in offered)}"
    target = given["location"].partition(service.host)[2]
    bound = (await world.ask("GET", target, way, said, host=service.host))["set-cookie"]
    assert bound.startswith("__Host-atek-")
    assert bound.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    cookie = f"Cookie: {bound.partition(';')[0]}"
    assert (await world.ask("GET", "/", cookie, host=service.host)).status == 200
    assert service.request["atek-auth-user"] == "bob"


async def test_a_token_never_reaches_the_service(world: World) -> None:
    service = await bobs(world)
    fields = (service.cookie("of-bob"),)
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
        ("bob", "of-gil", 403),
        ("gil", "of-gil", 403),
        ("system", "of-gil", 403),
    ],
)
async def test_owners_and_admins_may_and_everybody_where_a_service_is_for_all(
    world: World, owner: str, session: str, status: int
) -> None:
    service = await bobs(world)
    service.publish(*service.instances, owner=owner)
    answer = await world.ask("GET", "/", BROWSER, service.cookie(session), host=service.host)
    assert answer.status == status
    assert len(service.requests) == (status == 200)


ACCESS: list[Any] = ["", "private", "members", "public", ("Eve", "Gil"), ()]
MAY = {
    ("bob", "of-bob"): "1 1 1 1 1 1",
    ("bob", "of-eve"): "0 0 1 1 1 0",
    ("bob", "of-gil"): "0 0 0 1 1 0",
    ("bob", "of-root"): "1 1 1 1 1 1",
    ("bob", "nobody"): "0 0 0 1 0 0",
    ("system", "of-eve"): "1 0 1 1 1 0",
    ("system", "of-gil"): "0 0 0 1 1 0",
    ("system", "of-root"): "1 1 1 1 1 1",
    ("system", "nobody"): "0 0 0 1 0 0",
    ("gil", "of-gil"): "0 0 0 1 1 0",
}


@pytest.mark.parametrize(("owner", "session"), MAY)
async def test_access_says_for_whom_it_is_on_every_way_in(world: World, owner: str, session: str) -> None:
    service = await bobs(world)
    both = (*RPC, *SOCKET)
    for access, may in zip(ACCESS, MAY[owner, session].split(), strict=True):
        service.publish(*service.instances, owner=owner, access=access, exports=both)
        status = (await world.ask("GET", "/", service.cookie(session), host=service.host)).status
        assert (status == 200) is (may == "1"), access
        if session == "nobody":
            continue
        cookie = f"Cookie: session={session}"
        called = await world.ask("POST", GATEWAY, cookie, body=dumps(call()))
        assert ("result" in called.json) is (may == "1"), access
        # The service speaks no WebSocket: what it answers has come from there.
        upgraded = await world.ask("GET", GATEWAY, cookie, *UPGRADE)
        assert (upgraded.status == 403) is (may == "0"), access


async def test_who_is_signed_in_is_told_at_a_public_host_too(world: World) -> None:
    service = await bobs(world)
    service.publish(*service.instances, access="public")
    await world.ask("GET", "/", BROWSER, host=service.host)
    await world.ask("GET", "/", BROWSER, service.cookie("of-gil"), host=service.host)
    assert [each["atek-auth-user"] for each in service.requests] == ["", "gil"]


async def test_services_may_where_their_owners_may(world: World) -> None:
    service = await bobs(world)
    own = await world.service("own", owner="bob", exports=())
    foreign = await world.service("foreign", owner="eve", exports=())
    bearers = [own.bearer, foreign.bearer, f"Authorization: Bearer {ADMIN}"]
    statuses = [(await world.ask("GET", "/", bearer, host=service.host)).status for bearer in bearers]
    assert statuses == [200, 403, 200]


async def test_a_session_that_ended_is_none(world: World) -> None:
    service = await bobs(world)
    fields = (BROWSER, service.cookie("of-bob"))
    assert (await world.ask("GET", "/", *fields, host=service.host)).status == 200
    world.sign_in({}, private=True)
    assert (await world.ask("GET", "/", *fields, host=service.host)).status == 302
    assert len(service.requests) == 1


async def test_a_page_of_another_origin_is_nobody(world: World) -> None:
    service = await bobs(world)
    cookie = service.cookie("of-bob")
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
