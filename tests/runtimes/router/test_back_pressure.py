"""Who does not keep up stops whoever sends to it, and nobody else; and nothing is lost by it.

Everything here goes over Unix sockets, whose buffers are small: what is on its way is what the router holds.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.runtimes.router.harness import until
from tests.runtimes.router.test_tunnels import SWITCHED, UPGRADE
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Wire

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("tunnel", [False, True], ids=["body", "tunnel"])]

HOST = "notes.localhost"
PIECE = bytes(range(256)) * 256
PIECES = 1024
SIZE = PIECES * len(PIECE)
#: Far less than that may be on its way, in all buffers together.
ON_ITS_WAY = SIZE // 16


class Source:
    """Sends pieces that are all different, and counts the bytes that it got rid of."""

    def __init__(self) -> None:
        self.sent = 0
        self.digest = hashlib.sha256()

    async def pour(self, wire: Wire) -> None:
        for number in range(PIECES):
            piece = number.to_bytes(4, "big") + PIECE[4:]
            await wire.send(piece)
            self.digest.update(piece)
            self.sent += len(piece)


async def others_are_served(world: World) -> None:
    for _ in range(100):
        assert (await world.ask("GET", "/small", host=HOST, unix=True)).body == b"small"


async def test_a_client_that_does_not_read_stops_its_service(world: World, tunnel: bool) -> None:
    source = Source()

    async def serve(asked: Asked) -> None:
        if asked.request.target == "/small":
            await asked.respond(200, b"small")
            return
        await asked.send(SWITCHED if tunnel else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        await source.pour(asked)

    await world.service(serve=serve)
    client = await world.connect(unix=True)
    await client.send(request("GET", "/large", *(UPGRADE if tunnel else ()), host=HOST))
    await client.head()
    await until(lambda: world.plane.stalled)
    await others_are_served(world)
    assert source.sent < ON_ITS_WAY
    received = await client.exactly(SIZE)
    assert hashlib.sha256(received).digest() == source.digest.digest()


async def test_a_service_that_does_not_read_stops_its_client(world: World, tunnel: bool) -> None:
    source, go, received = Source(), anyio.Event(), hashlib.sha256()

    async def serve(asked: Asked) -> None:
        if asked.request.target == "/small":
            await asked.respond(200, b"small")
            return
        if tunnel:
            await asked.send(SWITCHED)
        await go.wait()
        asked.unread = False
        received.update(await asked.exactly(SIZE))
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    await world.service(serve=serve)
    client = await world.connect(unix=True)
    fields = UPGRADE if tunnel else (f"Content-Length: {SIZE}",)
    await client.send(request("GET" if tunnel else "PUT", "/large", *fields, host=HOST))
    if tunnel:
        assert (await client.head()).status == 101
    await until(lambda: world.plane.clients)
    router_side = world.only_client
    world.start(source.pour, client)
    await until(lambda: router_side._paused)
    await others_are_served(world)
    assert source.sent < ON_ITS_WAY
    go.set()
    assert (await client.answer()).status == 200
    assert received.digest() == source.digest.digest()
