"""How much and how long: what one client may take, and that it is told so or cut off where it takes more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.router.carry import rate_limit
from runtimes.router.carry.client import MOST_AHEAD
from runtimes.router.carry.rate_limit import RateLimit
from runtimes.router.limits import Limits
from runtimes.router.protocol.remembered import REMEMBERED
from tests.runtimes.router.harness import ADMIN, API, call, until
from tests.runtimes.router.instances import Held
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
#: Bytes that the router may have taken in one go, on top of what it waits for.
ONE_READ = 256 * 1024


async def sweep(world: World) -> None:
    """Looks at the clocks, as the router's process does."""
    while True:
        await anyio.sleep(0.01)
        world.plane.sweep()


async def trickle(world: World, data: bytes) -> bytes:
    """What comes back to a client that sends one byte after another, until it may send no more."""
    client = await world.connect()
    answer = b""

    async def send() -> None:
        try:
            for byte in data:
                await client.send(bytes([byte]))
                await anyio.sleep(0.005)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        answer = await client.rest()
        tasks.cancel_scope.cancel()
    await client.close()
    await until(lambda: not world.plane.clients)
    return answer


# -- how long


@pytest.mark.parametrize(
    "data",
    [
        request("GET", "/", "X: " + "y" * 4000, host=HOST),
        b"\r\n" + request("GET", "/", "X: " + "y" * 4000, host=HOST),
        b"x" * 4000,
    ],
)
async def test_a_head_has_to_be_complete_in_time_however_busy_it_is(world: World, data: bytes) -> None:
    world.replace_plane(Limits(reading_head=0.1, lingering=0.1))
    await world.service()
    world.start(sweep, world)
    answer = await trickle(world, data)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"Connection: close\r\n" in answer
    assert world.plane.metrics.refused == {408: 1}


async def test_each_head_has_its_own_time(world: World) -> None:
    """A client that is quick for many requests is not slow because they add up."""
    await world.service()
    client = await world.connect()
    head = request("GET", host=HOST)
    for _ in range(3):
        await client.send(head[:20])
        await until(lambda: len(world.plane.reading) == 1)
        await client.send(head[20:])
        assert (await client.answer()).status == 200
        assert len(world.plane.reading) == 0


async def test_a_body_that_stands_still_ends_the_connection(world: World) -> None:
    world.replace_plane(Limits(stalled=0.1))
    service = await world.service()
    world.start(sweep, world)
    client = await world.connect()
    await client.send(request("PUT", "/", "Content-Length: 100", host=HOST) + b"x")
    assert await client.rest() == b""
    await until(lambda: not world.plane.clients and service.instances[0].open == 0)
    assert world.plane.metrics.in_flight == 0
    # It was never a whole request.
    assert [each.body for each in service.requests] in ([], [b""])


async def test_a_connection_on_which_nothing_is_asked_is_closed(world: World) -> None:
    world.replace_plane(Limits(idle=0.1))
    await world.service()
    world.start(sweep, world)
    quiet, used = await world.connect(), await world.connect()
    await used.send(request("GET", host=HOST))
    assert (await used.answer()).status == 200
    assert await quiet.rest() == b""
    assert await used.rest() == b""
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.refused == {}


async def test_who_is_refused_and_goes_on_sending_is_cut_off(world: World) -> None:
    world.replace_plane(Limits(lingering=0.1))
    world.start(sweep, world)
    answer = await trickle(world, b"GET /\x00 HTTP/1.1\r\n\r\n" + b"x" * 10_000)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert world.plane.metrics.refused == {400: 1}


# -- how much


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 431)])
async def test_heads_have_their_bound(world: World, size: int, status: int) -> None:
    world.replace_plane(Limits(head=4096))
    await world.service()
    head = request("GET", "/", "X: ", host=HOST)
    head = request("GET", "/", "X: " + "y" * (size - len(head)), host=HOST)
    assert len(head) == size
    client = await world.connect()
    await client.send(head)
    assert (await client.answer()).status == status


async def test_a_head_without_end_is_refused_before_it_is_kept(world: World) -> None:
    client = await world.connect()
    await client.send(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000)
    answer = await client.answer()
    assert (answer.status, answer["connection"]) == (431, "close")


@pytest.mark.parametrize("flood", [b"\r\n" * 5, b"\r\n" * 100_000, b"\n" * 100, b"\r" * 100, b"\r\n\n\n\r\r"])
async def test_empty_lines_are_no_request(world: World, flood: bytes) -> None:
    await world.service()
    client = await world.connect()
    await client.send(flood + request("GET", host=HOST))
    assert (await client.answer()).status == 400
    assert await client.rest() == b""


async def test_an_empty_line_after_a_body_is_forgiven(world: World) -> None:
    """RFC 9112, section 2.2: some old clients send one."""
    await world.service()
    client = await world.connect()
    for _ in range(3):
        await client.send(request("POST", "/", host=HOST, body=b"x") + b"\r\n")
        assert (await client.answer()).body == b"POST /\nx"


async def test_empty_lines_alone_do_not_keep_a_connection(world: World) -> None:
    world.replace_plane(Limits(idle=0.1, reading_head=10.0))
    world.start(sweep, world)
    assert await trickle(world, b"\r\n" * 10_000) == b""


async def test_who_sends_ahead_is_not_read_for_ever(world: World) -> None:
    held = Held()
    await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", "/first", host=HOST))
    await until(lambda: held.waiting)
    ahead = request("GET", "/" + "x" * 900, host=HOST)
    count = 40 * MOST_AHEAD // len(ahead)
    world.start(client.send, ahead * count)
    router_side = world.only_client
    await until(lambda: router_side._paused)
    assert len(router_side._ahead) <= MOST_AHEAD + ONE_READ

    async def release() -> None:
        while True:
            held.release()
            await anyio.lowlevel.checkpoint()

    world.start(release)
    for _ in range(1 + count):
        assert (await client.answer()).status == 200
        assert len(router_side._ahead) <= MOST_AHEAD + ONE_READ


@pytest.mark.parametrize(
    ("host", "fields", "status"),
    [
        ("none.localhost", (), 404),
        ("localhost", (), 401),
        ("localhost", (f"Authorization: Bearer {ADMIN}",), 413),
    ],
)
async def test_a_huge_body_that_nobody_wants_is_not_read(
    world: World, host: str, fields: tuple[str, ...], status: int
) -> None:
    client = await world.connect()
    length = f"Content-Length: {10**12}"
    await client.send(request("POST", f"/_atek/gateway?api={API}", length, *fields, host=host))
    answer = await client.answer()
    assert (answer.status, answer["connection"]) == (status, "close")


async def test_a_batch_of_ten_thousand_is_one_error(world: World) -> None:
    service = await world.service()
    answer = await world.post([call(call_id=number) for number in range(10_000)])
    assert (answer.status, answer.json["error"]["code"], answer.json["id"]) == (200, -32600, None)
    assert service.requests == []


async def test_connections_have_their_bound_and_the_next_one_is_told(world: World) -> None:
    world.replace_plane(Limits(connections=2))
    await world.service()
    first, second = await world.connect(), await world.connect()
    await until(lambda: world.plane.metrics.connections == 2)
    third = await world.connect()
    answer = await third.answer()
    assert (answer.status, answer["retry-after"], answer["connection"]) == (503, "1", "close")
    assert await third.rest() == b""
    for client in (first, second):
        await client.send(request("GET", host=HOST))
        assert (await client.answer()).status == 200
    await first.close()
    await until(lambda: world.plane.metrics.connections == 1)
    assert (await world.ask(host=HOST)).status == 200


async def test_what_is_remembered_of_heads_is_bounded(world: World) -> None:
    await world.service()
    client = await world.connect()
    for number in range(2 * REMEMBERED + 10):
        await client.send(request("GET", f"/{number}", host=HOST))
        assert (await client.answer()).body == b"GET /%d\n" % number
        assert len(world.plane.decisions) <= REMEMBERED


# -- anonymous callers


def test_anonymous_callers_are_counted_by_address_and_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(rate_limit, "monotonic", lambda: now)
    counted = RateLimit(2)
    assert [counted.admit("a") for _ in range(3)] == [True, True, False]
    assert counted.admit("b")
    now += 59.9
    assert not counted.admit("a")
    now += 0.2
    assert counted.admit("a")


def test_whoever_invents_addresses_shares_one_count() -> None:
    counted = RateLimit(1)
    assert all(counted.admit(str(number)) for number in range(10_000))
    assert counted.admit("one more")
    assert not counted.admit("and another")
