"""Clients that take their time, or that never take what they asked for: they wait, and nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtimes.router.harness import until
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from runtimes.router.client import Client
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
#: An answer that arrives in one piece or two, and more of them than any kernel's buffers hold.
SIZE, MANY = 200 * 1024, 200


def only(world: World) -> Client:
    """The router's side of the only connection."""
    (client,) = world.plane.clients
    return client


async def test_who_does_not_read_gets_no_further_answers(world: World) -> None:
    """However many requests it sent ahead, and however short each answer is."""
    held: list[int] = []

    async def serve(asked: Asked) -> None:
        held.append(only(world).transport.get_write_buffer_size())
        await asked.respond(200, b"x" * SIZE)

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST) * MANY)
    await until(lambda: only(world).waits_for_reader or len(held) == MANY)
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
    await until(lambda: only(world).waits_for_reader)
    for _ in range(3):
        assert len((await world.ask(host=HOST)).body) == SIZE
    assert len(world.plane.pools["notes-1"].idle) == 1
