"""Clients that take their time, or that never take what they asked for: they wait, and nobody else does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from runtimes.router.limits import Limits
from tests.runtimes.router.harness import until
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
#: An answer that arrives in one piece or two, and more of them than any kernel's buffers hold.
SIZE, MANY = 200 * 1024, 200


def more_than(answers: dict[int, int], count: int) -> bool:
    return answers.get(200, 0) > count


async def swept(world: World, holds: Callable[[], object]) -> None:
    """Waits for what a look at the clocks brings about."""

    def look() -> object:
        world.plane.sweep()
        return holds()

    await until(look)


async def test_who_does_not_read_gets_no_further_answers(world: World) -> None:
    """However many requests it sent ahead, and however short each answer is."""
    held: list[int] = []

    async def serve(asked: Asked) -> None:
        held.append(world.only_client.transport.get_write_buffer_size())
        await asked.respond(200, b"x" * SIZE)

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST) * MANY)
    await until(lambda: world.only_client.waits_for_reader or len(held) == MANY)
    assert len(held) < MANY
    assert max(held) < 2 * SIZE
    for _ in range(MANY):
        assert len((await client.answer()).body) == SIZE
    assert max(held) < 2 * SIZE


async def test_who_does_not_read_leaves_the_connections_to_instances_to_others(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.respond(200, b"x" * SIZE)

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST) * MANY)
    await until(lambda: world.only_client.waits_for_reader)
    for _ in range(3):
        assert len((await world.ask(host=HOST)).body) == SIZE
    assert len(world.plane.pools["notes-1"].idle) == 1


@pytest.mark.parametrize("how", ["close", "end", "idle"])
async def test_who_never_takes_the_rest_of_an_answer_is_cut_off(world: World, how: str) -> None:
    """Also where so little is left that it is no reason to stop, and the connection only has to be closed."""
    world.replace_plane(Limits(stalled=0.05, idle=0.05 if how == "idle" else 60.0))

    async def serve(asked: Asked) -> None:
        await asked.respond(200, b"x" * 20_000)

    await world.service(serve=serve)
    client = await world.connect(unix=True)
    await client.send(request("GET", host=HOST))
    await until(lambda: world.plane.clients)
    router_side, metrics = world.only_client, world.plane.metrics
    answers = metrics.series("host", "notes").statuses
    while not router_side.transport.get_write_buffer_size():
        count = answers.get(200, 0)
        await client.send(request("GET", host=HOST))
        await until(partial(more_than, answers, count))
    if how == "close":
        await client.send(request("GET", "/", "Connection: close", host=HOST))
    elif how == "end":
        await client.end()
    await swept(world, router_side.transport.is_closing)
    assert not world.plane.stalled
    await swept(world, lambda: not world.plane.clients)
    assert not world.plane.closing
