"""More that services may do to their callers: too much, too slowly, too early, and in the wrong order."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import orjson
import pytest

from runtimes.router.carry.upstream import UpstreamConnection
from runtimes.router.limits import Limits
from tests.runtimes.router.harness import call, until
from tests.runtimes.router.instances import result, sends
from tests.runtimes.router.wire import reply, request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Wire

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Version: 13")
SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


async def nothing_is_left(world: World) -> None:
    await until(lambda: not any(pool.in_flight for pool in world.plane.pools.values()))
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0


async def sweep(world: World) -> None:
    """Looks at the clocks, as the router's process does."""
    while True:
        await anyio.sleep(0.01)
        world.plane.sweep()


# -- interim answers


async def test_a_few_interim_answers_are_none(world: World) -> None:
    service = await world.service(serve=sends((CONTINUE + HINTS) * 40 + reply(200, "at last")))
    client = await world.connect()
    for _ in range(2):
        await client.send(request("GET", host=HOST))
        assert [(await client.head()).raw for _ in range(40)] == [HINTS] * 40
        assert (await client.answer()).text == "at last"
    assert service.instances[0].connections == 1


@pytest.mark.parametrize("count", [100, 5_000, 100_000])
async def test_interim_answers_without_end_are_no_answer(world: World, count: int) -> None:
    await world.service(serve=sends(CONTINUE * count))
    answer = await world.ask(host=HOST)
    assert (answer.status, answer.json["message"]) == (
        502,
        "notes failed: it only says that its answer will come",
    )
    assert (await world.post(call())).json["error"]["code"] == -32000
    await nothing_is_left(world)


# -- what can never become an answer


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nX: a\rb",
        b"HTTP/1.1 200 OK\r\nX: a\x00",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/2 200\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"hello",
        HINTS + b"HTTP/1.1 200 OK\n\n",
    ],
)
async def test_who_does_not_speak_http_is_not_waited_for(world: World, raw: bytes) -> None:
    """The connection stays open, and no clock is looked at here."""
    forever = anyio.Event()

    async def serve(asked: Asked) -> None:
        await asked.send(raw)
        await forever.wait()

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST, version="1.0"))
    answer = await client.answer()
    assert answer.status == 502 and answer.json["message"].startswith("notes failed: ")
    assert (await world.post(call())).json["error"]["code"] == -32000


async def test_a_head_may_come_byte_by_byte(world: World) -> None:
    async def serve(asked: Asked) -> None:
        for byte in reply(200, "slow"):
            await asked.send(bytes([byte]))

    await world.service(serve=serve)
    assert (await world.ask(host=HOST)).text == "slow"


# -- answers that stop


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{",
    ],
)
async def test_a_call_whose_answer_stands_still_is_answered_with_an_error(world: World, raw: bytes) -> None:
    world.replace_plane(Limits(answering=0.1))

    async def serve(asked: Asked) -> None:
        await asked.body()
        await asked.send(raw)
        await anyio.sleep_forever()

    await world.service(serve=serve)
    world.start(sweep, world)
    error = (await world.post(call())).json["error"]
    assert (error["code"], error["message"]) == (-32000, "notes did not answer within 0.1 s")
    await nothing_is_left(world)
    assert world.plane.metrics.upstream_errors == {"notes": 1}


# -- answers that are too much


@pytest.mark.parametrize("pieces", [1, 10])
async def test_the_answers_to_a_batch_have_one_bound_together(world: World, pieces: int) -> None:
    """Otherwise one request could make the router keep a thousand of the largest answers."""
    world.replace_plane(Limits(answer=100_000))

    async def serve(asked: Asked) -> None:
        body = result(orjson.loads(await asked.body()), "x" * 20_000)
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        size = -(-len(body) // pieces)
        for start in range(0, len(body), size):
            await asked.send(body[start : start + size])
            await anyio.lowlevel.checkpoint()

    await world.service(serve=serve)
    answers = (await world.post([call(call_id=number) for number in range(100)])).json
    assert [each["id"] for each in answers] == list(range(100))
    good = [each for each in answers if "result" in each]
    assert 1 <= len(good) <= 4
    errors = {(each["error"]["code"], each["error"]["message"]) for each in answers if "error" in each}
    assert errors <= {
        (-32000, "the answers to this batch are larger than 100000 bytes"),
        (-32000, "notes answered with more than 100000 bytes"),
    }
    await nothing_is_left(world)


async def test_a_batch_of_short_answers_is_within_the_bound(world: World) -> None:
    world.replace_plane(Limits(answer=100_000))
    await world.service()
    answers = (await world.post([call(call_id=number) for number in range(1000)])).json
    assert all("result" in each for each in answers)


async def test_an_answer_that_is_too_much_with_its_last_piece_harms_no_other(world: World) -> None:
    """The connection is in step by then, and may be used again."""
    world.replace_plane(Limits(answer=10_000))

    async def serve(asked: Asked) -> None:
        body = result(orjson.loads(await asked.body()), "x" * int(asked.request.json["params"][0]))
        (router_side,) = world.plane.pools["notes-1"].in_flight
        before = router_side.asked
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        # The head has arrived once the body is what it waits for.
        await until(lambda: router_side.asked > before)
        await asked.send(body)

    service = await world.service(serve=serve)
    for _ in range(3):
        error = (await world.post(call(params=[12_000]))).json["error"]
        assert error["message"] == "notes answered with more than 10000 bytes"
        assert "result" in (await world.post(call(params=[10]))).json
    assert service.instances[0].connections == 1
    await nothing_is_left(world)


# -- tunnels that one side does not let go of


async def test_a_client_that_keeps_a_tunnel_whose_service_has_left_is_cut_off(world: World) -> None:
    world.replace_plane(Limits(stalled=0.05))

    async def serve(asked: Asked) -> None:
        await asked.send(SWITCHED)
        await asked.close()

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", "/", *UPGRADE, host=HOST))
    assert (await client.head()).status == 101
    assert await client.rest() == b""
    world.start(sweep, world)
    await nothing_is_left(world)


async def test_a_service_that_takes_nothing_keeps_no_tunnel(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.replace_plane(Limits(stalled=0.05))
    lost: list[UpstreamConnection] = []
    really = UpstreamConnection.connection_lost

    def connection_lost(upstream: UpstreamConnection, error: Exception | None) -> None:
        lost.append(upstream)
        really(upstream, error)

    monkeypatch.setattr(UpstreamConnection, "connection_lost", connection_lost)

    async def serve(asked: Asked) -> None:
        await asked.send(SWITCHED)
        await anyio.sleep_forever()

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", "/", *UPGRADE, host=HOST))
    assert (await client.head()).status == 101
    world.start(send_until_closed, client)
    router_side = world.only_client
    await until(lambda: router_side._paused)
    router_side.abort_all()
    await nothing_is_left(world)
    await until(lambda: lost)


async def send_until_closed(client: Wire) -> None:
    with suppress(anyio.BrokenResourceError):
        while True:
            await client.send(b"x" * 65536)
