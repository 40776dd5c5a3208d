"""More than one request on a connection: what is sent ahead, what is not read, what comes in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtimes.router.harness import ADMIN, API, until
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
MIB = 2**20


@pytest.mark.parametrize("to", ["host", "gateway"])
async def test_a_head_in_two_pieces_is_let_go_on_too(world: World, to: str) -> None:
    await world.service()
    body = b'{"jsonrpc":"2.0","id":1,"method":"m","params":[]}'
    fields = [f"Authorization: Bearer {ADMIN}", "Expect: 100-continue", f"Content-Length: {len(body)}"]
    target = "/" if to == "host" else f"/_atek/gateway?api={API}"
    head = request("POST", target, *fields, host=HOST if to == "host" else "localhost")
    await world.ask(host=HOST)
    client = await world.connect()
    await client.send(head[:20])
    await until(lambda: world.plane.reading)
    await client.send(head[20:])
    assert (await client.head()).status == 100
    await client.send(body)
    assert (await client.answer()).status == 200


async def test_who_reads_no_answer_gets_no_further_one(world: World) -> None:
    """The end of the first answer waits in the router; the second one must not pile up behind it."""
    sent = 0

    async def serve(asked: Asked) -> None:
        nonlocal sent
        if asked.request.target == "/small":
            await asked.respond(200, b"small")
        elif asked.request.target == "/first":
            await asked.respond(200, b"1" * 400_000)
        else:
            await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
            for _ in range(64 * 16):
                await asked.send(b"2" * 65536)
                sent += 65536

    service = await world.service(serve=serve)
    client = await world.connect(unix=True)
    await client.send(request("GET", "/first", host=HOST) + request("GET", "/second", host=HOST))
    await until(lambda: world.plane.stalled)
    for _ in range(100):
        assert (await world.ask("GET", "/small", host=HOST)).body == b"small"
    assert sent < 4 * MIB
    assert (await client.answer()).body == b"1" * 400_000
    assert (await client.answer()).body == b"2" * 64 * MIB
    assert len(service.requests) == 102


async def test_who_leaves_a_stream_of_events_leaves_nothing_behind(world: World) -> None:
    """Without this the service would go on until its next event, which may never come."""

    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        assert await asked.some() == b""

    service = await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    assert (await client.head()).status == 200
    await client.end()
    await until(lambda: service.instances[0].open == 0 and not world.plane.clients)
    assert world.plane.metrics.in_flight == 0
