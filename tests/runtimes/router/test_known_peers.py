"""A service that leaves out its token is still that service: the kernel says whose process it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runtimes.router.carry.handler import MOST_WAITING
from runtimes.router.decide.table import SYSTEM, Credential, Session
from tests.runtimes.router.harness import API, PATH, SOCKET
from tests.runtimes.router.test_tunnels import UPGRADE
from tests.runtimes.router.wire import chunks, request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.wire import Wire

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
#: This process is the service's.
OURS = (Credential("its token", os.getsid(0)),)
UNIX = pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])


async def caller(world: World, allow: tuple[str, ...] | None = (), owner: str = SYSTEM) -> Service:
    return await world.service("caller", exports=(), credentials=OURS, allow=allow, owner=owner)


@UNIX
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", ["/", PATH, "/_api/../_api/notes"])
async def test_a_host_is_no_way_around_what_it_may_call(
    world: World, unix: bool, method: str, target: str
) -> None:
    service = await world.service()
    await caller(world)
    for _ in range(2):
        answer = await world.ask(method, target, host=HOST, body=b"{}", unix=unix)
        assert answer.status == 403 and "may not call" in answer.text
    assert service.requests == []


@UNIX
@pytest.mark.parametrize(
    "field",
    [
        "X-Forwarded-For: 203.0.113.7",
        "Via: 1.1 nginx",
        "Origin: http://notes.localhost",
        "Cookie: a=b",
        "Authorization: Bearer of-nobody",
        "Authorization: Basic YTpi",
    ],
)
@pytest.mark.parametrize("allowed", [False, True])
async def test_nor_is_what_it_says_of_others(world: World, field: str, *, unix: bool, allowed: bool) -> None:
    """A proxy's visitors are not the proxy, but get no further than it may go itself."""
    service = await world.service()
    await caller(world, allow=(API,) if allowed else ())
    answer = await world.ask("GET", "/", field, host=HOST, unix=unix)
    assert answer.status == (200 if allowed else 403)
    assert [each["atek-auth-service"] for each in service.requests] == ([""] if allowed else [])


async def test_who_may_is_told_to_the_host_by_name(world: World) -> None:
    service = await world.service()
    await caller(world, allow=(API,), owner="bob")
    assert (await world.ask("GET", "/", host=HOST, unix=True)).status == 200
    told = service.request
    assert (told["atek-auth-user"], told["atek-auth-service"]) == ("bob", "key-of-caller")


@UNIX
async def test_who_is_no_service_is_a_visitor(world: World, unix: bool) -> None:
    service = await world.service()
    await world.service("caller", exports=(), credentials=(Credential("its token", 2**30),), allow=())
    client = await world.connect(unix=unix)
    for number in range(3):
        await client.send(request("GET", f"/{number}", host=HOST))
        assert (await client.answer()).status == 200
    assert "atek-auth-service" not in service.requests[0].names


async def test_a_visitor_who_turns_out_to_be_a_service_is_one_from_then_on(world: World) -> None:
    """It connected before anybody knew it."""
    service = await world.service()
    for unix in (False, True):
        client = await world.connect(unix=unix)
        await client.send(request("GET", "/before", host=HOST))
        assert (await client.answer()).status == 200
        known = await caller(world)
        for target in ("/before", "/after"):
            await client.send(request("GET", target, host=HOST))
            assert (await client.answer()).status == 403
        known.publish(credentials=())
    assert [each.target for each in service.requests] == ["/before"] * 2


@UNIX
async def test_a_connection_of_an_instance_that_has_ended_is_nobodys(world: World, unix: bool) -> None:
    service = await world.service()
    known = await caller(world, allow=(API, "example.com/other"))
    # Over TCP it is asked only where there is somebody who may not.
    await world.service("other", exports=(), allow=())
    client = await world.connect(unix=unix)
    for changes, status in (
        ({}, 200),
        ({"allow": ()}, 403),
        ({"allow": None}, 200),
        ({"credentials": ()}, 401),
    ):
        known.publish(**changes)
        await client.send(request("GET", "/", host=HOST))
        assert (await client.answer()).status == status
    assert len(service.requests) == 2


@UNIX
async def test_a_process_of_the_node_that_is_no_instances_may_nothing(world: World, unix: bool) -> None:
    """What a build runs, or what lost its parents."""
    service = await world.service()
    await world.service("other", exports=(), allow=())
    world.plane.node = (os.getppid(), "")
    assert (await world.ask("GET", "/", host=HOST, unix=unix)).status == 401
    assert (await world.ask("GET", f"/_atek/gateway?api={API}", *UPGRADE, unix=unix)).status == 401
    assert service.requests == []


@pytest.mark.parametrize(
    ("allow", "status"), [((), 403), (("a.example/b",), 403), (("*",), 200), (None, 200)]
)
async def test_its_own_host_is_open_to_it_and_one_without_apis_where_it_may_call_anything(
    world: World, allow: tuple[str, ...] | None, status: int
) -> None:
    await world.service("caller", credentials=OURS, allow=allow)
    await world.service("pages", exports=())
    for unix in (False, True):
        assert (await world.ask("GET", "/", host="caller.localhost", unix=unix)).status == 200
        assert (await world.ask("GET", "/", host="pages.localhost", unix=unix)).status == status


@pytest.mark.parametrize("framing", ["length", "chunks", "one piece"])
async def test_a_body_waits_until_it_is_known_who_sends_it(world: World, framing: str) -> None:
    service = await world.service()
    await world.service("other", exports=(), allow=())
    body = os.urandom(MOST_WAITING * 5 // 2 if framing != "one piece" else 10)
    client = await world.connect()
    async with world.plane.looking, world.plane.looking:
        if framing == "chunks":
            await client.send(request("POST", "/", "Transfer-Encoding: chunked", host=HOST))
        else:
            await client.send(request("POST", "/", f"Content-Length: {len(body)}", host=HOST))
        half = len(body) // 2
        pieces = [chunks(body[:half], body[half:])] if framing == "chunks" else [body[:half], body[half:]]
        world.start(_send_all, client, pieces)
        assert service.requests == []
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"POST /\n" + body)


async def _send_all(client: Wire, pieces: list[bytes]) -> None:
    for piece in pieces:
        await client.send(piece)


async def test_a_person_is_a_person_also_in_a_services_process(world: World) -> None:
    """A browser that a service drives has the session of whoever logged in there."""
    service = await world.service()
    await caller(world)
    world.sign_in({"s1": Session("bob")}, private=False)
    assert (await world.ask("GET", "/", service.cookie("s1"), host=HOST, unix=True)).status == 200
    assert service.request["atek-auth-user"] == "bob"


@UNIX
async def test_a_websocket_at_a_host_is_a_request_like_any_other(world: World, unix: bool) -> None:
    await world.service(exports=SOCKET)
    await caller(world)
    assert (await world.ask("GET", "/", *UPGRADE, host=HOST, unix=unix)).status == 403


@UNIX
@pytest.mark.parametrize(("allow", "status"), [(None, 200), ((), 403)])
async def test_a_service_goes_where_it_may_also_once_there_are_people(
    world: World, unix: bool, allow: tuple[str, ...] | None, status: int
) -> None:
    """The first person ends what visitors may, and nothing that a service may."""
    service = await world.service()
    me = (Credential("mine", os.getsid(0)),)
    own = await world.service("caller", exports=(), credentials=me, allow=allow)
    world.sign_in({"s1": Session("bob")}, private=True)
    assert (await world.ask("GET", "/", host=HOST, unix=unix)).status == status
    assert [each["atek-auth-service"] for each in service.requests] == ["key-of-caller"] * (status == 200)
    # Who is none of them is still nobody.
    own.publish(credentials=())
    assert (await world.ask("GET", "/", host=HOST, unix=unix)).status == 401
