"""Probes against real listeners that answer, err, stay silent, or talk nonsense."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from manifests.model.spec import Probe
from runtimes.base import Endpoint, Running
from runtimes.probes import EndpointProber
from tests.runtimes.factories import alive, service

pytestmark = pytest.mark.anyio
Serve = Callable[[SocketStream], Awaitable[None]]


def running(endpoint: Endpoint, pid: int = 0) -> Running:
    return Running("i1", service(command=["x"]), 0, pid, endpoint, 0.0)


def http(path: str = "/", timeout: float = 1, port: int | None = None) -> Probe:
    get: dict[str, Any] = {"path": path, "port": port}
    return Probe.model_validate({"httpGet": get, "timeoutSeconds": timeout})


@asynccontextmanager
async def listening(serve: Serve, *, tcp: bool = False) -> AsyncIterator[Endpoint]:
    with tempfile.TemporaryDirectory() as folder:
        if tcp:
            listener: Any = await anyio.create_tcp_listener(local_host="127.0.0.1")
            endpoint = Endpoint(port=listener.extra(anyio.abc.SocketAttribute.local_port))
        else:
            path = str(Path(folder) / "s.sock")
            listener, endpoint = await anyio.create_unix_listener(path), Endpoint(socket=path)

        async def handle(stream: SocketStream) -> None:
            async with stream:
                await serve(stream)

        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            yield endpoint
            tasks.cancel_scope.cancel()


def answering(text: bytes) -> Serve:
    async def serve(stream: SocketStream) -> None:
        request = await stream.receive()
        assert request.startswith(b"GET /health HTTP/1.1\r\n") and b"Host: localhost" in request
        await stream.send(text)

    return serve


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_instance_is_shown_who_asks_and_another_port_is_not(tcp: bool) -> None:
    """What listens elsewhere may be another program's."""
    heard: list[bytes] = []

    async def serve(stream: SocketStream) -> None:
        heard.append(await stream.receive())
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with listening(serve, tcp=tcp) as own, listening(serve, tcp=True) as other:
        asked = replace(running(own), router_token="the-routers")
        for probe in (http("/"), http("/", port=own.port), http("/", port=other.port)):
            assert await EndpointProber().check(probe, asked) is None
        assert await EndpointProber().check(http("/"), running(own)) is None
    shown = [b"atek-router-token: the-routers\r\n" in each.lower() for each in heard]
    assert shown == [True, True, False, False]
    assert b"the-routers" not in repr(asked).encode()


async def silent(stream: SocketStream) -> None:
    await anyio.sleep_forever()


async def closing(stream: SocketStream) -> None:
    await stream.receive()


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_endpoint_that_accepts_is_ready(tcp: bool) -> None:
    async with listening(silent, tcp=tcp) as endpoint:
        assert await EndpointProber().check(None, running(endpoint)) is None


@pytest.mark.parametrize("endpoint", [Endpoint(socket="/nowhere.sock"), Endpoint(port=1)])
async def test_an_endpoint_that_is_not_there_says_why(endpoint: Endpoint) -> None:
    assert await EndpointProber().check(None, running(endpoint))


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(("status", "good"), [(200, True), (302, True), (404, False), (500, False)])
async def test_http_status_decides(status: int, good: bool, tcp: bool) -> None:
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: 100000\r\n\r\nbody".encode()
    async with listening(answering(answer), tcp=tcp) as endpoint:
        result = await EndpointProber().check(http("/health"), running(endpoint))
        assert (result is None) == good
        assert good or str(status) in str(result)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"hello\r\n\r\n", "not an HTTP answer"), (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "not an HTTP")],
)
async def test_nonsense_is_no_answer(answer: bytes, words: str) -> None:
    async with listening(answering(answer)) as endpoint:
        assert words in str(await EndpointProber().check(http("/health"), running(endpoint)))


async def test_a_closed_connection_is_no_answer() -> None:
    async with listening(closing) as endpoint:
        assert "closed" in str(await EndpointProber().check(http("/health"), running(endpoint)))


async def test_silence_ends_with_the_time_out() -> None:
    async with listening(silent) as endpoint:
        with anyio.fail_after(5):
            result = await EndpointProber().check(http("/health", timeout=0.1), running(endpoint))
    assert result == "no answer within 0.1 s"


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (["sh", "-c", "test $MARK = here"], None),
        (["sh", "-c", "exit 4"], "sh exited with status 4"),
        (["sh", "-c", "sleep 100 & echo $! > child; wait"], "no answer within 0.5 s"),
    ],
)
async def test_exec_runs_beside_the_instance(command: list[str], result: str | None, tmp_path: Path) -> None:
    env = {**os.environ, "MARK": "here"}
    process = await anyio.open_process(["sleep", "50"], env=env, cwd=tmp_path)
    try:
        probe = Probe.model_validate({"exec": {"command": command}, "timeoutSeconds": 0.5})
        await anyio.sleep(0.1)
        assert await EndpointProber().check(probe, running(Endpoint(port=1), process.pid)) == result
        for child in tmp_path.glob("child"):
            # SIGKILL was sent; on a busy machine the kernel takes a moment to carry it out.
            with anyio.fail_after(10):
                while alive(int(child.read_text())):
                    await anyio.sleep(0.01)
    finally:
        process.kill()
        await process.aclose()


async def test_a_program_may_listen_on_the_other_address_of_localhost() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        endpoint = Endpoint(port=listener.getsockname()[1])
        assert await EndpointProber().check(None, running(endpoint)) is None
        # A place that was named is meant.
        elsewhere = Endpoint(host="127.0.0.2", port=endpoint.port)
        assert await EndpointProber().check(None, running(elsewhere)) is not None
    assert await EndpointProber().check(None, running(endpoint)) is not None
