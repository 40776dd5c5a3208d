"""What goes on for long ends with the right to it: its caller's instance, its session, its grant."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.router.carry.door import Door
from runtimes.router.carry.handlers import accept
from runtimes.router.decide.table import Credential, Session
from tests.runtimes.router.frames import CLOSE, TEXT, echo_messages, frame, read_message
from tests.runtimes.router.harness import API, SOCKET, until
from tests.runtimes.router.test_tunnels import SWITCHED, UPGRADE
from tests.runtimes.router.wire import Wire, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

GATEWAY = f"/_atek/gateway?api={API}"
REVOKED = (CLOSE, b"\x03\xf0not authorized any more")
COOKIE = "Cookie: session=s1"


async def opened(
    world: World, *fields: str, target: str = GATEWAY, host: str = "localhost", unix: bool = False
) -> Wire:
    client = await world.connect(unix=unix)
    await client.send(request("GET", target, *UPGRADE, *fields, host=host))
    assert (await client.head()).status == 101
    assert await heard(client, b"hello")
    return client


async def heard(client: Wire, text: bytes) -> bool:
    await client.send(frame(TEXT, text, masked=True))
    return await read_message(client) == (TEXT, text)


def ended(service: Service, **_: Any) -> None:
    service.publish(credentials=())


def narrowed(service: Service) -> None:
    service.publish(allow=("example.com/other",))


@pytest.mark.parametrize("loses", [ended, narrowed])
@pytest.mark.parametrize("way", ["token", "host", "kernel over tcp", "kernel over unix", "kernel at a host"])
async def test_a_websocket_ends_with_its_callers_right(
    world: World, way: str, loses: Callable[[Service], None]
) -> None:
    service = await world.service(serve=echo_messages, exports=SOCKET)
    known = Credential("its token", os.getsid(0) if "kernel" in way else 0)
    caller = await world.service("caller", exports=(), credentials=(known,))
    fields = () if "kernel" in way else (caller.bearer,)
    at_host = {"target": "/", "host": "notes.localhost"} if "host" in way else {}
    client = await opened(world, *fields, unix=way != "kernel over tcp" and "kernel" in way, **at_host)
    # What has nothing to do with it changes nothing.
    await world.service("another", exports=())
    caller.publish(allow=(API,))
    assert await heard(client, b"still here")
    loses(caller)
    assert await read_message(client) == REVOKED
    await until(lambda: not world.plane.pools["notes-1"].in_flight)
    await client.close()
    await until(lambda: not service.instances[0].open)
    assert world.plane.metrics.in_flight == 0


@pytest.mark.parametrize("loses", [ended, narrowed])
@pytest.mark.parametrize("target", [GATEWAY, "/"])
async def test_so_does_one_through_a_door_of_its_own(
    world: World, target: str, loses: Callable[[Service], None]
) -> None:
    await world.service(serve=echo_messages, exports=SOCKET)
    caller = await world.service("caller", exports=())
    door = Door(world.plane, caller.token)
    server = await asyncio.get_running_loop().create_server(lambda: accept(world.plane, door), "127.0.0.1", 0)
    async with server, await anyio.connect_tcp(*server.sockets[0].getsockname()) as stream:
        client = Wire(stream)
        await client.send(
            request("GET", target, *UPGRADE, host="localhost" if target == GATEWAY else "notes.localhost")
        )
        assert (await client.head()).status == 101
        await world.service("another", exports=())
        assert await heard(client, b"hello")
        loses(caller)
        assert await read_message(client) == REVOKED


async def test_a_persons_ends_with_the_session(world: World) -> None:
    service = await world.service(serve=echo_messages, exports=SOCKET)
    world.sign_in({"s1": Session("bob"), "s2": Session("eve")}, private=False)
    clients = [
        await opened(world, service.cookie("s1"), target="/", host="notes.localhost"),
        await opened(world, COOKIE),
    ]
    other = await opened(world, "Cookie: session=s2")
    world.sign_in({"s2": Session("eve")}, private=False)
    for client in clients:
        assert await read_message(client) == REVOKED
    assert await heard(other, b"still here")


async def test_a_visitors_goes_on_until_visitors_may_not(world: World) -> None:
    await world.service(serve=echo_messages, exports=SOCKET)
    client = await opened(world, target="/", host="notes.localhost")
    await world.service("another", exports=())
    world.sign_in({"s1": Session("bob")}, private=False)
    assert await heard(client, b"still here")
    world.sign_in({"s1": Session("bob")}, private=True)
    assert await read_message(client) == REVOKED


async def test_an_event_stream_ends_too(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await asked.some()

    await world.service(serve=serve)
    caller = await world.service("caller", exports=())
    client = await world.connect()
    await client.send(request("GET", "/", caller.bearer, host="notes.localhost"))
    assert (await client.head()).status == 200
    assert b"data: 1" in await client.chunk()
    caller.publish(credentials=())
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0


async def test_a_switch_that_comes_after_the_end_of_the_right_leads_nowhere(world: World) -> None:
    asks, answers = anyio.Event(), anyio.Event()

    async def serve(asked: Asked) -> None:
        asks.set()
        await answers.wait()
        await asked.send(SWITCHED)
        await asked.some()

    await world.service(serve=serve, exports=SOCKET)
    caller = await world.service("caller", exports=())
    client = await world.connect()
    await client.send(request("GET", GATEWAY, *UPGRADE, caller.bearer))
    await asks.wait()
    caller.publish(credentials=())
    answers.set()
    assert (await client.head()).status == 101
    assert await read_message(client) == REVOKED


async def test_in_the_middle_of_a_frame_it_is_cut_off(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(SWITCHED + frame(TEXT, b"x" * 100)[:50])
        await asked.some()

    await world.service(serve=serve, exports=SOCKET)
    caller = await world.service("caller", exports=())
    client = await world.connect()
    await client.send(request("GET", GATEWAY, *UPGRADE, caller.bearer))
    assert (await client.head()).status == 101
    assert len(await client.exactly(50)) == 50
    caller.publish(credentials=())
    assert await client.rest() == b""
