"""What may never end by itself, when its instance leaves and another one takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.router.limits import Limits
from tests.runtimes.router.frames import BINARY, CLOSE, TEXT, echo_messages, frame, read_frame, read_message
from tests.runtimes.router.harness import SOCKET, until
from tests.runtimes.router.instances import Held
from tests.runtimes.router.test_tunnels import TCP, UPGRADE, mirror, shout
from tests.runtimes.router.test_websockets import opened
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from runtimes.router.carry.pool import Pool
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

RESTART = (CLOSE, b"\x03\xf4service restart")


def leave(world: World, service: Service) -> Pool:
    """Takes the first instance out of the routes and lets it drain, as the node does in a switch."""
    pool = world.plane.pools[service.instances[0].backend.instance]
    service.publish()
    pool.drained(restart=True)
    return pool


@pytest.mark.parametrize("way", ["host", "gateway"])
async def test_a_websocket_is_told_to_come_again(world: World, way: str) -> None:
    service = await world.service(serve=echo_messages, exports=SOCKET)
    client = await opened(world, way)
    await client.send(frame(TEXT, b"hello", masked=True))
    assert await read_message(client) == (TEXT, b"hello")
    pool = leave(world, service)
    assert await read_message(client) == RESTART
    # The answer to it is read, so that nothing resets the connection before the client has read it.
    await client.send(frame(CLOSE, b"\x03\xf4", masked=True))
    assert await client.rest() == b""
    assert not pool.in_flight
    await client.close()
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0
    await until(lambda: not service.instances[0].open)


async def test_a_frame_on_its_way_arrives_whole_before_that(world: World) -> None:
    more = anyio.Event()
    message = frame(BINARY, bytes(100_000))

    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await asked.send(message[:50_001])
        await more.wait()
        await asked.send(message[50_001:] + frame(TEXT, b"too late"))

    service = await world.service(serve=serve, exports=SOCKET)
    client = await opened(world, "host")
    assert await client.exactly(50_001) == message[:50_001]
    pool = leave(world, service)
    assert pool.in_flight
    more.set()
    assert await client.exactly(49_999 + len(message) - 100_000) == message[50_001:]
    assert await read_frame(client) == (*RESTART, True)
    assert await client.rest() == b""
    assert not pool.in_flight


async def test_a_frame_that_does_not_come_to_its_end_is_not_waited_for(world: World) -> None:
    world.replace_plane(Limits(lingering=0.05))

    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x82")
        await anyio.sleep_forever()

    service = await world.service(serve=serve, exports=SOCKET)
    client = await opened(world, "host")
    assert await client.exactly(1) == b"\x82"
    pool = leave(world, service)
    assert await client.rest() == b""
    assert not pool.in_flight


async def test_other_tunnels_and_event_streams_end(world: World) -> None:
    async def stream(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await anyio.sleep_forever()

    tcp, news = await world.service("tcp", serve=shout), await world.service("news", serve=stream)
    client, reader = await world.connect(), await world.connect()
    await client.send(request("GET", "/", *TCP, host="tcp.localhost"))
    assert (await client.head()).status == 101
    await reader.send(request("GET", host="news.localhost"))
    await reader.head()
    assert await reader.chunk() == b"data: 1\n\n"
    pools = [leave(world, service) for service in (tcp, news)]
    assert (await client.rest(), await reader.rest()) == (b"", b"")
    assert not any(pool.in_flight for pool in pools)
    assert world.plane.metrics.in_flight == 0


async def test_what_becomes_endless_later_ends_then(world: World) -> None:
    held = Held(mirror)
    service = await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", "/", *UPGRADE, host="notes.localhost"))
    await until(lambda: held.waiting)
    pool = leave(world, service)
    held.release()
    assert (await client.head()).status == 101
    assert await read_message(client) == RESTART
    await client.close()
    await until(lambda: not pool.in_flight)


async def test_an_answer_is_awaited(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", "/a", host="notes.localhost"))
    await until(lambda: held.waiting)
    pool = leave(world, service)
    held.release()
    assert (await client.answer()).body == b"GET /a\n"
    assert not pool.in_flight


async def test_who_only_drains_keeps_what_it_has_and_may_serve_again(world: World) -> None:
    """A service whose manifest was away for a moment, or that a person stopped and starts again."""
    service = await world.service(serve=echo_messages, exports=SOCKET)
    client = await opened(world, "host")
    pool = world.plane.pools["notes-1"]
    service.publish()
    pool.drained()
    service.publish(*service.instances)
    await client.send(frame(TEXT, b"still here", masked=True))
    assert await read_message(client) == (TEXT, b"still here")
    again = await opened(world, "host")
    await again.send(frame(TEXT, b"me too", masked=True))
    assert await read_message(again) == (TEXT, b"me too")
    await client.close()
    await again.close()
