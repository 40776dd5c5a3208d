"""The end of an instance, and of the node: nothing new begins, what began is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from orjson import dumps

from runtimes.router.carry.calls import AT_A_TIME
from runtimes.router.decide.table import Export
from tests.runtimes.router.harness import ADMIN, API, call, until
from tests.runtimes.router.instances import Held, echo
from tests.runtimes.router.test_tunnels import mirror, opened
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
GATEWAY = f"/_atek/gateway?api={API}"
AS_ADMIN = f"Authorization: Bearer {ADMIN}"


async def test_an_instance_finishes_what_it_has_and_gets_nothing_new(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    old = service.instances[0]
    client = await world.connect()
    await client.send(request("GET", "/old", host=HOST))
    await until(lambda: held.waiting)
    service.publish(await world.instance("notes"))
    drained = world.plane.pools["notes-1"].drained(hurry=False)
    assert (await world.ask("GET", "/new", host=HOST)).body == b"GET /new\n"
    assert "result" in (await world.post(call())).json
    assert len(old.requests) == 1 and not drained.is_set()
    held.release()
    assert (await client.answer()).body == b"GET /old\n"
    await drained.wait()
    await until(lambda: old.open == 0)


async def test_idle_connections_to_an_instance_close_when_it_goes(world: World) -> None:
    service = await world.service()
    await world.ask(host=HOST)
    assert world.plane.pools["notes-1"].idle
    service.publish()
    await until(lambda: service.instances[0].open == 0)
    assert "notes-1" not in world.plane.pools


async def test_who_is_in_a_hurry_does_not_wait_for_what_may_never_end(world: World) -> None:
    async def stream(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await anyio.sleep_forever()

    await world.service("chat", serve=mirror)
    await world.service("news", serve=stream)
    chat = await opened(world, "/", host="chat.localhost")
    news = await world.connect()
    await news.send(request("GET", host="news.localhost"))
    await news.head()
    pools = [pool for pool in world.plane.pools.values() if pool.in_flight]
    patient = [pool.drained(hurry=False) for pool in pools]
    await anyio.lowlevel.checkpoint()
    assert [event.is_set() for event in patient] == [False, False]
    hurried = [pool.drained(hurry=True) for pool in pools]
    for event in (*hurried, *patient):
        await event.wait()
    await chat.rest()
    await news.rest()
    assert world.plane.metrics.in_flight == 0


async def test_a_node_that_ends_closes_what_is_idle_and_answers_what_is_asked(world: World) -> None:
    held = Held()
    await world.service(serve=held)
    await world.service("live", exports=(Export("example.com/live", "/"),))
    idle, busy = await world.connect(), await world.connect()
    await busy.send(request("GET", "/x", host=HOST))
    await until(lambda: held.waiting)
    await until(lambda: len(world.plane.clients) == 2)
    ended = world.plane.end()
    assert await idle.rest() == b""
    assert not ended.is_set()
    held.release()
    answer = await busy.answer()
    assert (answer.body, answer["connection"]) == (b"GET /x\n", "close")
    assert await busy.rest() == b""
    await ended.wait()
    # Services that still run may go on calling each other.
    late = await world.post(call(), api="example.com/live")
    assert (late.status, late["connection"]) == (200, "close")


async def test_a_call_whose_body_takes_its_time_goes_where_the_service_is_then(world: World) -> None:
    service = await world.service()
    old, body = service.instances[0], dumps(call())
    client = await world.connect()
    await client.send(request("POST", GATEWAY, AS_ADMIN, f"Content-Length: {len(body)}"))
    await until(lambda: world.plane.sending)
    service.publish(await world.instance("notes"))
    await old.stop()
    await client.send(body)
    assert (await client.answer()).json["result"] == []
    assert old.requests == []


async def test_the_rest_of_a_batch_goes_where_the_service_is_then(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    old, new = service.instances[0], await world.instance("notes")
    client = await world.connect()
    calls = [call(call_id=number) for number in range(AT_A_TIME + 8)]
    await client.send(request("POST", GATEWAY, AS_ADMIN, body=dumps(calls)))
    await until(lambda: held.waiting == AT_A_TIME)
    service.publish(new)
    drained = world.plane.pools["notes-1"].drained(hurry=False)
    held.release()
    assert [each["result"] for each in (await client.answer()).json] == [[]] * len(calls)
    await drained.wait()
    assert (len(old.requests), len(new.requests)) == (AT_A_TIME, 8)


async def test_the_rest_of_a_batch_fails_if_the_service_is_gone_then(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    client = await world.connect()
    calls = [call(call_id=number) for number in range(AT_A_TIME + 8)]
    await client.send(request("POST", GATEWAY, AS_ADMIN, body=dumps(calls)))
    await until(lambda: held.waiting == AT_A_TIME)
    world.plane.update({service.id: None})
    held.release()
    answers = (await client.answer()).json
    assert [each["error"]["code"] for each in answers if "error" in each] == [-32601] * 8
    assert len(service.requests) == AT_A_TIME


async def test_an_instance_that_was_unready_for_a_moment_keeps_its_connections_again(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    (instance,) = service.instances
    client = await world.connect()
    await client.send(request("GET", "/before", host=HOST))
    await until(lambda: held.waiting)
    service.publish()
    service.publish(instance)
    held.release()
    assert (await client.answer()).body == b"GET /before\n"
    instance.serve = echo
    for _ in range(3):
        assert (await world.ask(host=HOST)).status == 200
    assert {visit.connection for visit in instance.visits} == {1}


async def test_an_answer_that_ends_with_its_connection_is_awaited_even_in_a_hurry(world: World) -> None:
    go = anyio.Event()

    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.0 200 OK\r\n\r\nhalf of it, ")
        await go.wait()
        await asked.send(b"and the rest")
        await asked.close()

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    head = await client.head()
    drained = world.plane.pools["notes-1"].drained(hurry=True)
    ended = world.plane.end()
    go.set()
    assert await client.body_of(head) == b"half of it, and the rest"
    await drained.wait()
    await ended.wait()


async def test_a_node_that_ends_cuts_off_what_might_never_end(world: World) -> None:
    async def stream(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await anyio.sleep_forever()

    await world.service("chat", serve=mirror)
    await world.service("news", serve=stream)
    chat = await opened(world, "/", host="chat.localhost")
    news = await world.connect()
    await news.send(request("GET", host="news.localhost"))
    await news.head()
    await world.plane.end().wait()
    assert await chat.rest() == b""
    await news.rest()
    assert world.plane.metrics.in_flight == 0


async def test_a_node_that_ends_answers_a_request_that_has_begun_to_arrive(world: World) -> None:
    await world.service()
    client = await world.connect()
    whole = request("GET", "/begun", host=HOST)
    await client.send(whole[:30])
    await until(lambda: world.plane.reading)
    ended = world.plane.end()
    assert not ended.is_set()
    await client.send(whole[30:])
    answer = await client.answer()
    assert (answer.body, answer["connection"]) == (b"GET /begun\n", "close")
    await ended.wait()


async def test_a_node_that_ends_answers_no_request_that_was_sent_ahead(world: World) -> None:
    """It says in its last answer that it closes, so the client knows which ones it has to send again."""
    held = Held()
    service = await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", "/one", host=HOST) + request("GET", "/two", host=HOST))
    await until(lambda: held.waiting)
    ended = world.plane.end()
    held.release()
    answer = await client.answer()
    assert (answer.body, answer["connection"]) == (b"GET /one\n", "close")
    assert await client.rest() == b""
    await ended.wait()
    assert [each.target for each in service.requests] == ["/one"]
