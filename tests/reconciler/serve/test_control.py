"""The control socket, spoken to as any HTTP client would."""

from __future__ import annotations

import json
import os
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpcore
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from reconciler.serve import control
from tests.reconciler.fakes import FakeNode, service, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """What stands on anyio alone runs on both."""
    return str(request.param)


@pytest.fixture
def node() -> FakeNode:
    node = FakeNode()
    node.add(service("notes"), service("wiki"))
    return node


@pytest.fixture
async def served(node: FakeNode, tmp_path: Path) -> AsyncIterator[Path]:
    async with serving(node, tmp_path) as value:
        yield value


async def post(served: Path, body: bytes) -> httpcore.Response:
    async with httpcore.AsyncConnectionPool(uds=str(served)) as pool:
        return await pool.request("POST", "http://node/_atek/control", content=body)


async def call(served: Path, method: str, params: object = None, **more: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 7, "method": method} | more
    if params is not None:
        request["params"] = params
    return json.loads((await post(served, json.dumps(request).encode())).content)


async def test_status(served: Path, node: FakeNode) -> None:
    answer = await call(served, "status")
    assert answer["id"] == 7
    assert [entry["id"] for entry in answer["result"]["services"]] == ["notes", "wiki"]


async def test_stop_start_and_restart_reach_the_service(served: Path, node: FakeNode) -> None:
    assert (await call(served, "stop", {"id": "notes"}))["result"] == {}
    assert node.services["notes"]["suspended"]
    assert (await call(served, "start", {"id": "notes"}))["result"] == {}
    assert not node.services["notes"]["suspended"]
    await call(served, "restart", {"id": "wiki"})
    assert node.services["wiki"]["instances"][0]["instance"] == "new.2"


async def test_what_a_person_got_wrong_comes_with_its_hint(served: Path) -> None:
    error = (await call(served, "stop", {"id": "nothing"}))["error"]
    assert error["code"] == -32000
    assert error["message"] == "there is no service nothing"
    assert error["data"] == {"hint": "`atek status` lists all services"}


async def test_down(served: Path, node: FakeNode) -> None:
    assert (await call(served, "down"))["result"] == {"pid": os.getpid()}
    assert node.shut_downs == 1


async def test_events(served: Path, node: FakeNode) -> None:
    for number in range(5):
        node.emit("notes", "Ready", f"{number}")
    answer = await call(served, "events", {"limit": 2})
    assert [event["message"] for event in answer["result"]] == ["3", "4"]
    for limit in (-1, "2", True, None):
        assert (await call(served, "events", {"limit": limit}))["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"1", -32600),
        (b'{"id":1,"method":"status"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"none"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"stop"}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"stop","params":["notes"]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"stop","params":{"id":{}}}', -32602),
    ],
)
async def test_bad_calls_are_answered_with_their_code(served: Path, body: bytes, code: int) -> None:
    answer = await post(served, body)
    assert answer.status == 200
    assert json.loads(answer.content)["error"]["code"] == code


async def test_batches_and_notifications(served: Path, node: FakeNode) -> None:
    told = {"jsonrpc": "2.0", "method": "stop", "params": {"id": "notes"}}
    answer = await post(served, json.dumps(told).encode())
    assert (answer.status, answer.content) == (204, b"")
    assert node.services["notes"]["suspended"]
    batch = [told, {"jsonrpc": "2.0", "id": "a", "method": "status"}, 3]
    answers = json.loads((await post(served, json.dumps(batch).encode())).content)
    assert [one["id"] for one in answers] == ["a", None]


async def test_a_fault_in_the_node_is_told_without_its_details(served: Path, node: FakeNode) -> None:
    node.broken = True
    error = (await call(served, "status"))["error"]
    assert error["code"] == -32603
    assert "secret" not in json.dumps(error)


async def test_other_methods_and_the_health_pages(served: Path) -> None:
    async with httpcore.AsyncConnectionPool(uds=str(served)) as pool:
        assert (await pool.request("GET", "http://node/_atek/control")).status == 405
        assert (await pool.request("POST", "http://node/_atek/events")).status == 405
        assert (await pool.request("GET", "http://node/_atek/events?recent=x")).status == 400
        assert (await pool.request("GET", "http://node/livez")).status == 200


@asynccontextmanager
async def events(served: Path, query: str = "") -> AsyncIterator[BufferedByteReceiveStream]:
    """The stream after its head and the empty line; HTTP/1.0, so that nothing is in chunks."""
    async with await anyio.connect_unix(served) as stream:
        await stream.send(f"GET /_atek/events{query} HTTP/1.0\r\n\r\n".encode())
        reader = BufferedByteReceiveStream(stream)
        assert (await reader.receive_until(b"\r\n\r\n", 4096)).startswith(b"HTTP/1.1 200")
        assert await reader.receive_until(b"\n", 4096) == b""
        yield reader


async def test_the_stream_begins_with_recent_events_and_goes_on(served: Path, node: FakeNode) -> None:
    node.emit("notes", "Started", "1")
    node.emit("notes", "Started", "2")
    with anyio.fail_after(5):
        async with events(served, "?recent=1") as reader:
            assert json.loads(await reader.receive_until(b"\n", 4096))["message"] == "2"
            node.emit("notes", "Ready", "3\udcff")
            assert json.loads(await reader.receive_until(b"\n", 4096))["message"] == "3\udcff"


async def test_a_reader_that_leaves_is_forgotten(served: Path, node: FakeNode) -> None:
    async with events(served):
        assert readers(node) == 1
    await nobody_reads(node)


async def test_a_reader_that_stands_still_delays_nobody(served: Path, node: FakeNode) -> None:
    async with events(served):
        with anyio.fail_after(5):
            for number in range(5000):
                node.emit("crowd", "Ready", f"{number} {'x' * 1000}")
            assert (await call(served, "status"))["id"] == 7
    await nobody_reads(node)


async def nobody_reads(node: FakeNode) -> None:
    with anyio.fail_after(5):
        while readers(node):
            await anyio.lowlevel.checkpoint()


def readers(node: FakeNode) -> int:
    return len(node.events._readers)


async def test_only_the_owner_and_root_are_let_in(
    served: Path, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Someone:
        """A connection whose other end the kernel says belongs to `uid`."""

        def __init__(self, uid: int) -> None:
            self._uid = uid

        def extra(self, attribute: object) -> Someone:
            return self

        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
            return struct.pack("iII", 1, self._uid, 0)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    admitted = [uid for uid in (0, 1, 999, 1000, 2**32 - 2) if control.is_owner(Someone(uid))]  # type: ignore[arg-type]
    assert admitted == [0, 1000]
    async with await anyio.connect_unix(served) as stream:
        if os.getuid() != 0:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
