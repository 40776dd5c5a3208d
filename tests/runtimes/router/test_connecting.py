"""What happens while a connection to an instance is being made."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import orjson
import pytest

from runtimes.router.carry import connecting
from runtimes.router.carry.handler import MOST_WAITING
from runtimes.router.decide.table import Backend
from tests.runtimes.router.harness import ADMIN, API, call, until
from tests.runtimes.router.harness import RPC as EXPORTS
from tests.runtimes.router.instances import Instance, echo
from tests.runtimes.router.wire import chunks, request

if TYPE_CHECKING:
    from runtimes.router.carry.pool import Pool
    from runtimes.router.carry.upstream import UpstreamConnection
    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
RPC = request(
    "POST", f"/_atek/gateway?api={API}", f"Authorization: Bearer {ADMIN}", body=orjson.dumps(call())
)


class Gate:
    """Holds back every connection that a router makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self._open = anyio.Event()
        really = connecting.open_once

        async def later(pool: Pool) -> UpstreamConnection:
            self.waiting += 1
            await self._open.wait()
            return await really(pool)

        monkeypatch.setattr(connecting, "open_once", later)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_arrives_meanwhile_is_sent_afterwards(
    world: World, gate: Gate, *, chunked: bool
) -> None:
    service = await world.service()
    client = await world.connect()
    field = "Transfer-Encoding: chunked" if chunked else "Content-Length: 11"
    await client.send(request("POST", "/", field, host=HOST))
    await until(lambda: gate.waiting)
    await client.send(chunks(b"hello ", b"world") if chunked else b"hello world")
    # The next request is read when the whole body was.
    await client.send(request("GET", "/next", host=HOST))
    router_side = world.only_client
    await until(lambda: router_side.body_done)
    gate.open()
    assert (await client.answer()).body == b"POST /\nhello world"
    assert (await client.answer()).body == b"GET /next\n"
    assert [each.body for each in service.requests] == [b"hello world", b""]


async def test_a_large_body_waits_with_its_client(world: World, gate: Gate) -> None:
    await world.service()
    body = bytes(range(256)) * 16 * 1024
    client = await world.connect()
    await client.send(request("PUT", "/", f"Content-Length: {len(body)}", host=HOST))
    await until(lambda: gate.waiting)
    world.start(client.send, body)
    router_side = world.only_client
    await until(lambda: router_side._paused)
    gate.open()
    assert (await client.answer()).body == b"PUT /\n" + body
    assert len(body) > 16 * MOST_WAITING


@pytest.mark.parametrize("rpc", [False, True])
async def test_a_client_that_leaves_meanwhile_leaves_nothing(world: World, gate: Gate, *, rpc: bool) -> None:
    service = await world.service()
    client = await world.connect()
    await client.send(RPC if rpc else request("GET", host=HOST))
    await until(lambda: gate.waiting)
    for each in list(world.plane.clients):
        each.abort_all()
    await until(lambda: not world.plane.clients)
    gate.open()
    pool = world.plane.pools["notes-1"]
    await until(lambda: not pool._connecting)
    assert (len(pool.in_flight), pool.idle, world.plane.metrics.in_flight) == (0, [], 0)
    assert service.requests == []


async def test_a_service_may_listen_on_the_other_address_of_localhost(world: World) -> None:
    """As Node's does that was told to listen on `localhost`, where the name means ::1 first."""
    service = await world.service(tcp=True)
    six = Instance(Backend("six", host="::1", exports=EXPORTS), echo)
    async with anyio.create_task_group() as tasks:
        await tasks.start(six.run)
        service.route = replace(service.route, backends=(replace(six.backend, host="127.0.0.1"),))
        world.update({"notes": service.route})
        assert (await world.ask(host=HOST)).text == "GET /\n"
        assert (await world.post(call(params=[6]))).json["result"] == [6]
        world.update({"notes": None})
        await six.stop()


async def test_nobody_at_either_address_is_one_refusal(world: World) -> None:
    service = await world.service()
    with socket.socket(socket.AF_INET6) as bound:
        bound.bind(("::1", 0))
        backend = replace(service.instances[0].backend, socket=None, port=bound.getsockname()[1])
        world.update({"notes": replace(service.route, backends=(backend,))})
        assert (await world.ask(host=HOST)).status == 502
