"""Real WebSockets through the router: messages keep their boundaries, and who opens one is known."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.router.decide.table import Credential
from tests.runtimes.router.frames import BINARY, CLOSE, TEXT, echo_messages, frame, read_message
from tests.runtimes.router.harness import ADMIN, API, PATH, SOCKET, until
from tests.runtimes.router.instances import Held
from tests.runtimes.router.test_tunnels import UPGRADE
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import Process

    from tests.runtimes.router.harness import World
    from tests.runtimes.router.wire import Wire

pytestmark = pytest.mark.anyio

GATEWAY = f"/_atek/gateway?api={API}"
#: Asks for a WebSocket once it is told to, and says what the first line of the answer is.
OPEN = """
import socket, sys
where, ask = sys.argv[1], sys.argv[2].encode()
address = ("127.0.0.1", int(where)) if where.isdigit() else where
client = socket.socket(socket.AF_INET if where.isdigit() else socket.AF_UNIX)
sys.stdin.readline()
client.connect(address)
client.sendall(ask)
print(client.makefile().readline().strip(), flush=True)
sys.stdin.readline()
"""


async def opened(world: World, way: str) -> Wire:
    client = await world.connect()
    if way == "host":
        await client.send(request("GET", PATH, *UPGRADE, host="notes.localhost"))
    else:
        await client.send(request("GET", GATEWAY, *UPGRADE, f"Authorization: Bearer {ADMIN}"))
    assert (await client.head()).status == 101
    return client


@pytest.mark.parametrize("way", ["host", "gateway"])
async def test_messages_keep_their_boundaries(world: World, way: str) -> None:
    await world.service(serve=echo_messages, exports=SOCKET)
    client = await opened(world, way)
    messages = [
        (TEXT, b""),
        (TEXT, "grüß dich".encode()),
        (BINARY, bytes(range(256)) * 1000),
        (TEXT, b"x" * 200),
    ]
    await client.send(b"".join(frame(kind, data, masked=True) for kind, data in messages))
    assert [await read_message(client) for _ in messages] == messages


async def test_a_message_in_many_pieces_is_one(world: World) -> None:
    await world.service(serve=echo_messages, exports=SOCKET)
    client = await opened(world, "gateway")
    frames = frame(TEXT, b"one ", masked=True, last=False) + frame(0, b"message", masked=True)
    for byte in frames:
        await client.send(bytes([byte]))
    assert await read_message(client) == (TEXT, b"one message")


async def test_frames_that_are_sent_before_the_service_has_agreed_wait(world: World) -> None:
    held = Held(echo_messages)
    await world.service(serve=held, exports=SOCKET)
    client = await world.connect()
    early = [(TEXT, b"first"), (TEXT, b"second" * 20_000)]
    asked = request("GET", GATEWAY, *UPGRADE, f"Authorization: Bearer {ADMIN}")
    await client.send(asked + b"".join(frame(kind, data, masked=True) for kind, data in early))
    await until(lambda: held.waiting)
    held.release()
    assert (await client.head()).status == 101
    assert [await read_message(client) for _ in early] == early


async def test_a_closing_handshake_ends_both_connections(world: World) -> None:
    service = await world.service(serve=echo_messages, exports=SOCKET)
    client = await opened(world, "gateway")
    await client.send(frame(CLOSE, b"\x03\xe8", masked=True))
    assert await read_message(client) == (CLOSE, b"\x03\xe8")
    assert await client.rest() == b""
    await client.close()
    await until(lambda: service.instances[0].open == 0 and not world.plane.clients)


async def test_a_bad_frame_is_the_services_business(world: World) -> None:
    """The router passes it on: nothing that a client sends stops it, or anybody else's socket."""
    await world.service(serve=echo_messages, exports=SOCKET)
    bad, good = await opened(world, "gateway"), await opened(world, "gateway")
    await bad.send(b"\xff" * 10)
    await bad.close()
    await good.send(frame(TEXT, b"still here", masked=True))
    assert await read_message(good) == (TEXT, b"still here")


# -- programs without a token, which the kernel knows


@asynccontextmanager
async def program(world: World, *, unix: bool) -> AsyncIterator[Process]:
    """A process that leads a session of its own, as those of a node do; it begins once it is told to."""
    command = [sys.executable, "-c", OPEN, world.path if unix else str(world.port)]
    command.append(request("GET", GATEWAY, *UPGRADE).decode())
    async with await anyio.open_process(command, stderr=None, start_new_session=True) as process:
        yield process
        assert process.stdin
        await process.stdin.aclose()


async def opens(process: Process) -> bytes:
    """The status line of the answer that it got."""
    assert process.stdin and process.stdout
    await process.stdin.send(b"go\n")
    return await process.stdout.receive()


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_a_services_process_needs_no_token_and_any_other_does(world: World, unix: bool) -> None:
    service = await world.service(serve=echo_messages, exports=SOCKET)
    async with program(world, unix=unix) as own, program(world, unix=unix) as other:
        credential = Credential("its token", own.pid)
        await world.service("caller", owner="carol", exports=(), credentials=(credential,))
        assert (await opens(other)).startswith(b"HTTP/1.1 401 ")
        assert service.requests == []
        assert (await opens(own)).startswith(b"HTTP/1.1 101 ")
        reached = service.request
        assert (reached["atek-auth-user"], reached["atek-auth-service"]) == ("carol", "key-of-caller")


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_a_services_process_may_open_only_what_its_manifest_allows(world: World, unix: bool) -> None:
    service = await world.service(serve=echo_messages, exports=SOCKET)
    async with program(world, unix=unix) as own:
        credential = Credential("its token", own.pid)
        await world.service("caller", exports=(), credentials=(credential,), allow=("example.com/other",))
        assert (await opens(own)).startswith(b"HTTP/1.1 403 ")
        assert service.requests == []
