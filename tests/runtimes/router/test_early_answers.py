"""Services that answer before they have read what they were sent: the client is told the answer."""

from __future__ import annotations

import socket
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.router.carry import deadlines, lingering_close
from runtimes.router.decide.table import Backend
from runtimes.router.limits import Limits
from tests.runtimes.router.harness import call, until
from tests.runtimes.router.instances import result
from tests.runtimes.router.test_slow_clients import swept
from tests.runtimes.router.wire import chunks, reply, request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Wire

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
MIB = 1024 * 1024
#: More than all buffers on the way hold.
UPLOAD = 16 * MIB


async def send_all(client: Wire, data: bytes) -> None:
    """As a client does that reads the answer only once everything is sent, or cannot be."""
    try:
        await client.send(data)
    except anyio.BrokenResourceError:
        pass


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("answer", [b"too large", b"x" * 100_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upload_that_is_refused_and_not_read(
    world: World, answer: bytes, framing: str, *, tcp: bool
) -> None:
    async def serve(asked: Asked) -> None:
        await asked.respond(413, answer, "Connection: close")
        await asked.close()

    await world.service(serve=serve, tcp=tcp)
    for _ in range(5):
        client = await world.connect()
        if framing == "length":
            await send_all(client, request("POST", "/up", host=HOST, body=bytes(UPLOAD)))
        else:
            head = request("POST", "/up", "Transfer-Encoding: chunked", host=HOST)
            await send_all(client, head + chunks(*[bytes(MIB)] * 16))
        told = await client.answer()
        assert (told.status, told.body) == (413, answer)
    assert world.plane.metrics.upstream_errors == {}


async def test_an_answer_without_a_length_ends_where_the_service_ended_it(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 507 Full\r\n\r\nno room")
        await asked.close()

    await world.service(serve=serve)
    client = await world.connect()
    await send_all(client, request("PUT", "/up", host=HOST, body=bytes(UPLOAD)))
    told = await client.answer()
    assert (told.status, told.body) == (507, b"no room")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (reply(413, b"too large"), (413, b"too large")),
        (b"HTTP/1.1 413 Too Large\r\n\r\ntoo large", (413, b"too large")),
        (b"HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"too", b" large"),
         (413, b"too large")),
    ],
    ids=["length", "endless", "chunked"],
)  # fmt: skip
async def test_sending_on_fails_before_the_answer_was_read(
    world: World, raw: bytes, told: tuple[int, bytes]
) -> None:
    """Nothing here waits between the service's closing and the next piece, so writing always comes first."""
    service = await world.service()
    backend = Backend("mute", socket=str(world.folder / "mute.sock"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(world.folder / "mute.sock"))
        listener.listen()
        world.update({"notes": replace(service.route, backends=(backend,))})
        client = await world.connect()
        await client.send(request("PUT", "/up", f"Content-Length: {UPLOAD}", host=HOST) + b"begin")
        await until(lambda: world.plane.pools.get("mute") and world.plane.pools["mute"].in_flight)
        await anyio.wait_readable(listener)
        instance, _ = listener.accept()
        with instance:
            await anyio.wait_readable(instance)
            instance.sendall(raw)
        side = world.only_client
        side.data_received(bytes(MIB))
        await send_all(client, bytes(UPLOAD - MIB - 5))
        answer = await client.answer()
    assert (answer.status, answer.body) == told
    assert not world.plane.pools["mute"].idle


async def test_half_an_early_answer_is_none(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 413 Too Large\r\nContent-Le")
        await asked.close()

    await world.service(serve=serve)
    client = await world.connect()
    await send_all(client, request("PUT", "/up", host=HOST, body=bytes(UPLOAD)))
    assert (await client.answer()).status == 502


async def test_a_connection_that_broke_is_not_used_again(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(reply(413, b"no"))
        await asked.close()

    service = await world.service(serve=serve)
    for _ in range(3):
        client = await world.connect()
        await send_all(client, request("PUT", "/up", host=HOST, body=bytes(UPLOAD)))
        assert (await client.answer()).status == 413
    assert service.instances[0].connections == 3
    assert not world.plane.pools["notes-1"].idle


async def test_a_call_that_is_answered_before_it_was_read(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.respond(200, result({"id": 1}, "enough"), "Connection: close")
        await asked.close()

    await world.service(serve=serve)
    for _ in range(5):
        answer = await world.post(call(params=["x" * 3 * MIB]))
        assert answer.json["result"] == "enough"


async def test_who_goes_on_sending_is_told_for_as_long_as_it_sends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only within the time that is left to somebody who does nothing."""
    later = 0.0
    for module in (deadlines, lingering_close):
        monkeypatch.setattr(module, "monotonic", lambda: monotonic() + later)
    world.replace_plane(Limits(lingering=30, lingering_at_most=300))

    async def serve(asked: Asked) -> None:
        await asked.respond(413, "no", "Connection: close")
        await asked.close()

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("PUT", "/up", "Content-Length: 1000000000", host=HOST))
    side = world.only_client
    clock = world.plane.lingering
    await until(lambda: len(clock))
    for _ in range(10):
        end, later = clock._ends[side], later + 20
        await client.send(bytes(1000))
        await until(lambda end=end: clock._ends[side] > end)  # type: ignore[misc]
        world.plane.sweep()
    assert side in world.plane.clients
    assert (await client.answer()).status == 413
    later += 31
    await swept(world, lambda: not world.plane.clients)
