"""More that services may do to their callers: too much, too slowly, too early, and in the wrong order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.router.limits import Limits
from tests.runtimes.router.harness import call, until
from tests.runtimes.router.instances import sends
from tests.runtimes.router.wire import reply

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
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


async def test_a_few_interim_answers_are_lost(world: World) -> None:
    service = await world.service(serve=sends((CONTINUE + HINTS) * 40 + reply(200, "at last")))
    assert (await world.ask(host=HOST)).text == "at last"
    assert (await world.ask(host=HOST)).text == "at last"
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
