"""Which of several replicas is asked, and what is tried again: the same for host names and the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtimes.router.harness import ADMIN, API, until
from tests.runtimes.router.instances import Held, echo
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Message, Wire

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("way", ["host", "gateway"])]

CALL = b'{"jsonrpc":"2.0","id":1,"method":"m","params":[]}'


def asking(way: str) -> bytes:
    if way == "host":
        return request("GET", host="notes.localhost")
    return request("POST", f"/_atek/gateway?api={API}", f"Authorization: Bearer {ADMIN}", body=CALL)


async def ask(world: World, way: str) -> Message:
    client = await world.connect()
    await client.send(asking(way))
    return await client.answer()


async def begin(world: World, way: str, held: Held) -> Wire:
    """A request that is in flight from now on, until `held` lets it go."""
    client, before = await world.connect(), held.waiting
    await client.send(asking(way))
    await until(lambda: held.waiting == before + 1)
    return client


def asked(service: Service) -> list[int]:
    """How many requests each of its instances has had."""
    return [len(instance.requests) for instance in service.instances]


async def test_replicas_that_are_equally_busy_take_turns(world: World, way: str) -> None:
    service = await world.service(replicas=3)
    for _ in range(9):
        await ask(world, way)
    assert asked(service) == [3, 3, 3]


async def test_the_least_busy_replica_is_asked(world: World, way: str) -> None:
    held = Held()
    service = await world.service(serve=held, replicas=3)
    clients = [await begin(world, way, held) for _ in range(2)]
    (free,) = (each for each in service.instances if not each.requests)
    free.serve = echo
    for _ in range(5):
        await ask(world, way)
    assert sorted(asked(service)) == [1, 1, 5] and len(free.requests) == 5
    held.release()
    for client in clients:
        await client.answer()


async def test_what_is_in_flight_by_the_other_way_counts_too(world: World, way: str) -> None:
    held = Held()
    service = await world.service(serve=held, replicas=2)
    other = await begin(world, "gateway" if way == "host" else "host", held)
    (free,) = (each for each in service.instances if not each.requests)
    free.serve = echo
    for _ in range(3):
        await ask(world, way)
    assert sorted(asked(service)) == [1, 3]
    held.release()
    await other.answer()


async def test_a_refused_connection_leads_to_another_replica(world: World, way: str) -> None:
    service = await world.service(replicas=3)
    await service.instances[0].stop()
    await service.instances[1].stop()
    for _ in range(6):
        assert (await ask(world, way)).status == 200
    assert asked(service) == [0, 0, 6]


async def test_when_all_refuse_it_is_said_so(world: World, way: str) -> None:
    service = await world.service(replicas=2, tcp=True)
    for instance in service.instances:
        await instance.stop()
    answer = await ask(world, way)
    if way == "host":
        assert (answer.status, answer.json["message"]) == (502, "notes accepts no connection")
    else:
        assert (answer.status, answer.json["error"]["code"]) == (200, -32000)
    assert world.plane.metrics.in_flight == 0
    assert not any(pool.in_flight for pool in world.plane.pools.values())


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], ids=["nothing", "half"]
)
async def test_what_was_sent_and_then_cut_off_is_not_sent_again(world: World, way: str, said: bytes) -> None:
    """It may have had its effect already."""

    async def serve(asked: Asked) -> None:
        await asked.body()
        if said:
            await asked.send(said)
        await asked.close()

    service = await world.service(serve=serve, replicas=3)
    client = await world.connect()
    await client.send(asking(way))
    await client.rest() if way == "host" and said else await client.answer()
    assert sum(asked(service)) == 1


async def test_a_replica_that_is_published_no_more_is_not_asked(world: World, way: str) -> None:
    service = await world.service(replicas=3)
    first, second, third = service.instances
    service.publish(first, third)
    for _ in range(4):
        await ask(world, way)
    assert asked(service) == [2, 0, 2]
    service.publish(second)
    await ask(world, way)
    assert asked(service) == [2, 1, 2]
