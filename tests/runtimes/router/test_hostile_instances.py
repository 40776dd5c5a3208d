"""Services that do not keep to the rules: each is one clear answer, and nobody else's connection suffers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.router.carry import connecting
from runtimes.router.limits import Limits
from tests.runtimes.router.harness import call, until
from tests.runtimes.router.instances import echo, sends
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"

BEFORE_THE_HEAD = [
    b"",
    b"hello\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nSet-Cookie: x\n\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
]
IN_THE_BODY = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
]


async def nothing_is_left(world: World) -> None:
    await until(lambda: not any(pool.in_flight for pool in world.plane.pools.values()))
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0


@pytest.mark.parametrize("raw", BEFORE_THE_HEAD)
async def test_no_answer_is_a_502_or_an_error(world: World, raw: bytes) -> None:
    service = await world.service(serve=sends(raw, then_close=True))
    answer = await world.ask(host=HOST)
    assert answer.status == 502 and answer.json["message"].startswith("notes failed: ")
    error = (await world.post(call())).json["error"]
    assert error["code"] == -32000 and error["message"].startswith("notes failed: ")
    assert len(service.requests) == 2
    assert world.plane.metrics.upstream_errors == {"notes": 2}
    await nothing_is_left(world)


@pytest.mark.parametrize("raw", IN_THE_BODY)
async def test_half_an_answer_is_cut_off_where_it_ends(world: World, raw: bytes) -> None:
    await world.service(serve=sends(raw, then_close=True))
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    answer = await client.head()
    assert answer.status == 200
    rest = await client.rest()
    # Neither as long as it said, nor with a last chunk.
    assert len(rest) < 10 or not rest.endswith(b"0\r\n\r\n")
    assert (await world.post(call())).json["error"]["code"] == -32000
    await nothing_is_left(world)


async def test_a_bad_chunk_later_on_cuts_the_answer_off(world: World) -> None:
    more = anyio.Event()

    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await more.wait()
        await asked.send(b"nonsense\r\n")

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    await client.head()
    assert await client.chunk() == b"hello"
    more.set()
    assert await client.rest() == b""
    await nothing_is_left(world)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil",
    ],
)
async def test_two_answers_to_one_request_are_one_and_the_connection_is_not_used_again(
    world: World, raw: bytes
) -> None:
    first = True

    async def serve(asked: Asked) -> None:
        nonlocal first
        if first:
            first = False
            await asked.send(raw)
        else:
            await echo(asked)

    service = await world.service(serve=serve)
    assert (await world.ask(host=HOST)).status in (200, 204)
    assert (await world.ask("GET", "/mine", host=HOST)).body == b"GET /mine\n"
    assert [visit.connection for visit in service.instances[0].visits] == [1, 2]


async def test_bytes_that_nobody_asked_for_end_the_connection(world: World) -> None:
    said = anyio.Event()

    async def serve(asked: Asked) -> None:
        await echo(asked)
        if asked.number == 1:
            await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            said.set()

    service = await world.service(serve=serve)
    await world.ask(host=HOST)
    await said.wait()
    await until(lambda: not world.plane.pools["notes-1"].idle)
    assert (await world.ask("GET", "/mine", host=HOST)).body == b"GET /mine\n"
    assert service.instances[0].visits[-1].connection == 2


async def test_an_idle_connection_that_was_closed_is_not_used(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await echo(asked)
        await asked.close()

    service = await world.service(serve=serve)
    for _ in range(20):
        assert (await world.ask(host=HOST)).status == 200
        await until(lambda: not world.plane.pools["notes-1"].idle)
    assert len(service.requests) == 20


async def test_an_answer_before_the_request_is_read_is_passed_on(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.respond(413, "too much")
        await asked.close()

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("PUT", "/", "Content-Length: 100000000", host=HOST) + b"x" * 1000)
    answer = await client.answer()
    assert (answer.status, answer.text, answer["connection"]) == (413, "too much", "close")
    await client.close()
    await nothing_is_left(world)


async def test_no_answer_in_time_is_a_504_or_an_error(world: World) -> None:
    world.replace_plane(Limits(answering=0.05))

    async def serve(asked: Asked) -> None:
        await anyio.sleep_forever()

    await world.service(serve=serve)
    async with anyio.create_task_group() as tasks:

        async def sweep() -> None:
            while True:
                await anyio.sleep(0.02)
                world.plane.sweep()

        tasks.start_soon(sweep)
        answer = await world.ask("POST", "/", host=HOST, body=b"x")
        assert (answer.status, answer.json["message"]) == (504, "notes did not answer within 0.05 s")
        error = (await world.post(call())).json["error"]
        assert (error["code"], error["message"]) == (-32000, "notes did not answer within 0.05 s")
        tasks.cancel_scope.cancel()
    await nothing_is_left(world)


async def test_an_answer_to_a_call_has_its_bounds(world: World) -> None:
    world.replace_plane(Limits(answer=100_000))

    async def serve(asked: Asked) -> None:
        await asked.body()
        await asked.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await asked.send(b"[" * 10_000)

    await world.service(serve=serve)
    error = (await world.post(call())).json["error"]
    assert (error["code"], error["message"]) == (-32000, "notes answered with more than 100000 bytes")
    await nothing_is_left(world)


async def test_a_service_that_is_gone_is_an_error_and_comes_back(world: World) -> None:
    service = await world.service()
    await service.instances[0].stop()
    await until(lambda: service.instances[0].open == 0)
    error = (await world.post(call())).json["error"]
    assert (error["code"], error["message"]) == (-32000, "notes accepts no connection")
    service.publish(await world.instance("notes"))
    assert "result" in (await world.post(call())).json
    await nothing_is_left(world)


async def test_a_link_in_the_place_of_its_socket_leads_to_nobody_else(world: World) -> None:
    """The engine's socket, another service's: the router may connect where the service may not."""
    other = await world.service("other")
    engine = other.instances[0].backend.socket
    service = await world.service()
    socket = Path(service.instances[0].backend.socket or "")
    before = len(other.requests)
    socket.unlink()
    socket.symlink_to(engine or "")
    answer = await world.ask(host=HOST)
    assert answer.status in (502, 503) and len(other.requests) == before


async def test_without_the_guard_it_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "the_socket_at", nullcontext)
    other = await world.service("other")
    service = await world.service()
    socket = Path(service.instances[0].backend.socket or "")
    socket.unlink()
    socket.symlink_to(other.instances[0].backend.socket or "")
    before = len(other.requests)
    assert (await world.ask(host=HOST)).status == 200 and len(other.requests) == before + 1
