"""More connections than places: those that are being answered stay, and nobody else is in anybody's way."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from reconciler.http.messages import Limits, Request, Response
from tests.reconciler.serve.test_health import Server, drain, running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """What stands on anyio alone runs on both."""
    return str(request.param)


#: Nobody is closed for being slow here, and who comes has all the time in the world, or none.
PATIENT = Limits(head_seconds=60, body_seconds=60, idle_seconds=60, send_seconds=60, connections=4)
HALVES = [
    b"",
    b"GET /livez HT",
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf",
    b"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
]


class Work:
    """A handler that answers /wait only once it is let, /endless never, and /large with more than fits."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = anyio.Event()

    async def __call__(self, request: Request) -> Response:
        self.asked += 1
        if request.path == "/wait":
            await self.let.wait()
        if request.path == "/endless":
            return Response(200, self._endless())
        return Response(200, bytes(64 * 1024 * 1024) if request.path == "/large" else b"done")

    async def _endless(self) -> AsyncGenerator[bytes, None]:
        yield b"1"
        await self.let.wait()


@asynccontextmanager
async def working(grace: float = 0) -> AsyncIterator[tuple[Server, Work]]:
    work = Work()
    async with aclosing(running(work, replace(PATIENT, grace_seconds=grace))) as servers:
        async for one in servers:
            yield one, work


async def connected(server: Server, data: bytes, stack: AsyncExitStack) -> anyio.abc.SocketStream:
    stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port))
    if data:
        await stream.send(data)
    await anyio.wait_all_tasks_blocked()
    return stream


def ask(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def told(stream: anyio.abc.SocketStream) -> bytes:
    with anyio.fail_after(5):
        return await stream.receive()


@pytest.mark.parametrize("half", HALVES)
async def test_half_a_request_occupies_nothing(half: bytes) -> None:
    async with working() as (server, _), AsyncExitStack() as stack:
        waiting = [await connected(server, half, stack) for _ in range(5 * PATIENT.connections)]
        for _ in range(10):
            assert (await server.get("/")).content == b"done"
        # The longest wait goes first.
        assert (await drain(waiting[0])).count(b"HTTP/1.1 200") == 0
        assert (await server.get("/")).status == 200


async def test_who_does_not_take_its_answer_occupies_nothing() -> None:
    async with working() as (server, _), AsyncExitStack() as stack:
        for _ in range(3 * PATIENT.connections):
            await connected(server, ask("/large"), stack)
        assert (await server.get("/")).content == b"done"


async def test_who_is_being_answered_keeps_its_place() -> None:
    async with working() as (server, work), AsyncExitStack() as stack:
        busy = [await connected(server, ask("/wait"), stack) for _ in range(PATIENT.connections)]
        assert work.asked == PATIENT.connections
        late = await connected(server, b"", stack)
        assert (await told(late)).startswith(b"HTTP/1.1 503")
        work.let.set()
        for stream in busy:
            assert (await told(stream)).startswith(b"HTTP/1.1 200")
        assert (await server.get("/")).status == 200


async def test_streams_have_half_of_the_places() -> None:
    async with working() as (server, _), AsyncExitStack() as stack:
        answers = [await told(await connected(server, ask("/endless"), stack)) for _ in range(4)]
        assert [answer[9:12] for answer in answers] == [b"200", b"200", b"503", b"503"]
        assert (await server.get("/")).content == b"done"
        await connected(server, HALVES[1], stack)
        assert (await server.get("/")).content == b"done"


async def test_who_has_just_come_has_a_moment() -> None:
    async with working(grace=60) as (server, _), AsyncExitStack() as stack:
        waiting = [await connected(server, b"", stack) for _ in range(PATIENT.connections)]
        assert (await server.raw(b"")).startswith(b"HTTP/1.1 503")
        await waiting[0].send(ask("/"))
        assert (await told(waiting[0])).startswith(b"HTTP/1.1 200")
        await waiting[1].aclose()
        await anyio.wait_all_tasks_blocked()
        assert (await server.get("/")).status == 200
