"""The health pages over a real connection, and how the little server stands bad clients."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import httpcore
import pytest
from anyio.abc import SocketAttribute, SocketListener
from prometheus_client.parser import text_string_to_metric_families

from reconciler.errors import UserError
from reconciler.http.messages import Limits, Request, Response
from reconciler.http.server import bind_tcp, bind_unix, serve_http
from reconciler.serve.health import health, process_facts
from tests.reconciler.fakes import FakeNode, service

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from reconciler.http.messages import Handler

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """What stands on anyio alone runs on both."""
    return str(request.param)


QUICK = Limits(head_seconds=0.2, body_seconds=0.2, idle_seconds=0.4, connections=4)


@pytest.fixture
def node() -> FakeNode:
    node = FakeNode()
    node.add(service("notes"))
    return node


class Server:
    """A handler behind a TCP port, and a client for it."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> httpcore.Response:
        given = {"host": f"localhost:{self.port}"} | headers
        async with httpcore.AsyncConnectionPool() as pool:
            url = f"http://127.0.0.1:{self.port}{path}"
            return await pool.request(method, url, headers=list(given.items()))

    async def raw(self, data: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            await stream.send(data)
            return await drain(stream)


async def drain(stream: anyio.abc.SocketStream) -> bytes:
    answer = b""
    with anyio.fail_after(5):
        try:
            while True:
                answer += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return answer


async def running(handler: Handler, limits: Limits) -> AsyncGenerator[Server, None]:
    listener = await SocketListener.from_socket(bind_tcp("127.0.0.1", 0))
    port = listener.extra(SocketAttribute.local_port)
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await serve_http(listener, handler, limits=limits)

        group.start_soon(run)
        yield Server(port)
        group.cancel_scope.cancel()


@pytest.fixture
async def server(node: FakeNode) -> AsyncIterator[Server]:
    async with aclosing(running(health(node), QUICK)) as servers:
        async for one in servers:
            yield one


async def echo(request: Request) -> Response:
    return Response(200, request.body)


@pytest.fixture
async def echoing() -> AsyncIterator[Server]:
    async with aclosing(running(echo, QUICK)) as servers:
        async for one in servers:
            yield one


# The pages


async def test_livez(server: Server) -> None:
    answer = await server.get("/livez")
    assert (answer.status, answer.content) == (200, b"ok\n")


async def test_readyz_names_who_holds_it_back(server: Server, node: FakeNode) -> None:
    assert (await server.get("/readyz")).status == 200
    node.waiting = {"notes": "CrashLoopBackOff: exited\nwith status 1", "": "sources are not read yet"}
    answer = await server.get("/readyz")
    assert answer.status == 503
    assert answer.content.decode().splitlines() == [
        "not ready",
        "node: sources are not read yet",
        "notes: CrashLoopBackOff: exited with status 1",
    ]


async def test_readyz_says_no_more_than_whether_to_who_may_not_know(server: Server, node: FakeNode) -> None:
    brief = {"atek-auth-details": "none"}
    assert (await server.get("/readyz", **brief)).content == b"ok\n"
    node.waiting = {"notes": "CrashLoopBackOff: secret"}
    answer = await server.get("/readyz", **brief)
    assert (answer.status, answer.content) == (503, b"not ready\n")
    told = await server.get("/readyz", accept="application/json", **brief)
    assert (told.status, json.loads(told.content)) == (503, {"ready": False})


async def test_readyz_as_json(server: Server, node: FakeNode) -> None:
    answer = await server.get("/readyz", accept="application/json")
    assert json.loads(answer.content) == {"ready": True, "node": None, "services": {}}
    node.waiting = {"notes": "starts", "": "not yet"}
    answer = await server.get("/readyz", accept="application/json")
    assert answer.status == 503
    assert json.loads(answer.content) == {"ready": False, "node": "not yet", "services": {"notes": "starts"}}


async def test_metrics_are_prometheus_text(server: Server) -> None:
    answer = await server.get("/metrics")
    types = dict(answer.headers)
    assert types[b"content-type"].startswith(b"text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(answer.content.decode())}
    assert {"atek_services", "process_resident_memory_bytes"} <= names


async def test_the_landing_page_says_what_is_where(server: Server) -> None:
    answer = await server.get("/")
    assert b"node pi" in answer.content
    for page in (b"/livez", b"/readyz", b"/metrics"):
        assert page in answer.content


async def test_unknown_pages_and_methods(server: Server) -> None:
    missing = await server.get("/nothing")
    assert missing.status == 404
    assert json.loads(missing.content) == {"error": True, "message": "Not found"}
    refused = await server.get("/livez", method="POST")
    assert refused.status == 405
    assert dict(refused.headers)[b"allow"] == b"GET, HEAD"


async def test_head_has_the_length_and_no_body(server: Server) -> None:
    answer = await server.get("/livez", method="HEAD")
    assert (answer.status, answer.content) == (200, b"")
    assert dict(answer.headers)[b"content-length"] == b"3"


async def test_a_failing_page_tells_nothing_private(server: Server, node: FakeNode) -> None:
    node.broken = True
    answer = await server.get("/metrics")
    assert answer.status == 500
    assert b"secret" not in answer.content
    assert (await server.get("/livez")).status == 200


async def test_http_1_0_without_host(server: Server) -> None:
    answer = await server.raw(b"GET /livez HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"ok\n")


def test_facts_about_this_process() -> None:
    before = process_facts()
    with open("/dev/null"):
        assert process_facts().open_fds == before.open_fds + 1
    assert before.resident_bytes > 1 << 20
    assert abs(before.start_time - os.stat("/proc/self").st_ctime) < 5


# The server


async def test_a_connection_serves_many_requests(server: Server) -> None:
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        for _ in range(3):
            await stream.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with anyio.fail_after(5):
                assert (await stream.receive()).startswith(b"HTTP/1.1 200")


async def test_pipelined_requests_are_answered_in_order(echoing: Server) -> None:
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
    two = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo"
    answer = await echoing.raw(one + two)
    assert answer.count(b"200") == 2
    assert answer.index(b"one") < answer.index(b"two")


async def test_a_client_that_asks_first_may_send_its_body(echoing: Server) -> None:
    async with await anyio.connect_tcp("127.0.0.1", echoing.port) as stream:
        await stream.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\n"
        )
        with anyio.fail_after(5):
            assert (await stream.receive()).startswith(b"HTTP/1.1 100")
        await stream.send(b"hi")
        assert (await drain(stream)).endswith(b"hi")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 17_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"z" * 1_500_000, b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHo", b"408"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"408"),
    ],
)
async def test_what_breaks_the_rules_is_refused_and_the_next_is_served(
    echoing: Server, data: bytes, status: bytes
) -> None:
    answer = await echoing.raw(data)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert (await echoing.get("/")).status == 200


async def test_silent_connections_are_closed(server: Server) -> None:
    assert await server.raw(b"") == b""


async def test_clients_that_vanish_do_no_harm(server: Server) -> None:
    for data in (b"", b"GET /liv", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            await stream.send(data)
    assert (await server.get("/livez")).status == 200


def test_a_port_in_use_is_a_clear_error() -> None:
    with bind_tcp("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is in use") as caught:
            bind_tcp("127.0.0.1", port)
    assert "--port" in caught.value.hint


def test_a_socket_is_the_owners_alone_and_replaces_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for _ in range(2):
        with bind_unix(path):
            assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UserError, match="cannot be made"):
        bind_unix(tmp_path / ("x" * 120))
