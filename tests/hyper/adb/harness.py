"""An Atek Database on a store in memory, in the test's own loop, and those who call it."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio
import orjson

from hyper.adb.server import serve
from hyper.core_services import ADB_FEED_PATH, ADB_RPC_PATH
from hyper.fake import FakeHyper, FakeNetwork
from tests.runtimes.router.frames import CLOSE, TEXT, frame, read_message
from tests.runtimes.router.wire import PATIENCE, Message, Wire, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hyper.port import Hyper

#: The Atek Database's own key, as the node would give it one.
OWN = "adb-service-key"
BAD_PARAMS, GENERAL, NO_METHOD = -32001, -32003, -32601


class RpcFailed(AssertionError):
    """An error where a result was expected."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data = error.get("data")


@dataclass
class Caller:
    """A service of a user, as the router introduces it."""

    world: World
    user: str
    service: str

    async def __call__(self, method: str, *params: Any) -> Any:
        """The result. Raises RpcFailed."""
        answer = await self.world.rpc(method, params, *self.fields)
        if "error" in answer:
            raise RpcFailed(answer["error"])
        return answer["result"]

    async def refused(self, method: str, *params: Any) -> RpcFailed:
        """The error of a call that must not succeed."""
        answer = await self.world.rpc(method, params, *self.fields)
        assert "error" in answer, answer
        return RpcFailed(answer["error"])

    @property
    def fields(self) -> tuple[str, ...]:
        return (f"Atek-Auth-User: {self.user}", f"Atek-Auth-Service: {self.service}")

    async def feed(self) -> FeedClient:
        return await self.world.feed(*self.fields)


class World:
    """`system` is the node; alice has two services, `notes` and `photos`; bob has one."""

    def __init__(self, hyper: Hyper | None = None, network: FakeNetwork | None = None) -> None:
        self.network = network or FakeNetwork()
        self.hyper: Hyper = hyper or FakeHyper(self.network)
        self.stop = asyncio.Event()
        self._stack = AsyncExitStack()
        self._ids = itertools.count(1)
        self.system = self.caller("system", "system")
        self.notes = self.caller("alice", "notes")
        self.photos = self.caller("alice", "photos")
        self.bob = self.caller("bob", "bobs-app")

    async def __aenter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="atek-adb-"))
        self.socket = str(Path(folder) / "adb.sock")
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(self.stop.set)
        tasks.start_soon(self._serve)
        await until(lambda: Path(self.socket).exists())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _serve(self) -> None:
        await serve(self.hyper, self.socket, own=OWN, stop=self.stop)

    def caller(self, user: str, service: str) -> Caller:
        return Caller(self, user, service)

    @property
    def fake(self) -> FakeHyper:
        assert isinstance(self.hyper, FakeHyper)
        return self.hyper

    # -- the wire

    async def connect(self) -> Wire:
        wire = Wire(await anyio.connect_unix(self.socket))
        self._stack.push_async_callback(wire.close)
        return wire

    async def ask(self, data: bytes) -> Message:
        """Sends these bytes on a connection of their own."""
        wire = await self.connect()
        await wire.send(data)
        answer = await wire.answer()
        await wire.close()
        return answer

    async def rpc(self, method: str, params: Any, *fields: str) -> dict[str, Any]:
        call_id = next(self._ids)
        call = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
        body = json.dumps(call, allow_nan=False).encode()
        answer = await self.ask(request("POST", ADB_RPC_PATH, *fields, body=body))
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.json
        assert told["jsonrpc"] == "2.0" and told["id"] == call_id
        return told

    async def feed(self, *fields: str) -> FeedClient:
        wire = await self.connect()
        await wire.send(request("GET", ADB_FEED_PATH, *UPGRADE, *fields))
        answer = await wire.head()
        assert answer.status == 101, answer.line
        return FeedClient(wire)


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class FeedClient:
    """A WebSocket to the feed. What comes while an answer is awaited is kept."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._ids = itertools.count(1)
        self._ahead: list[dict[str, Any]] = []

    async def __call__(self, method: str, *params: Any) -> Any:
        call_id = next(self._ids)
        message = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
        await self.wire.send(frame(TEXT, orjson.dumps(message), masked=True))
        while True:
            told = await self._read()
            if told.get("id") == call_id:
                if "error" in told:
                    raise RpcFailed(told["error"])
                return told["result"]
            self._ahead.append(told)

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The method and the param of the next notification."""
        told = self._ahead.pop(0) if self._ahead else await self._read()
        assert "id" not in told, told
        return told["method"], told["params"][0]

    async def _read(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            kind, data = await read_message(self.wire)
        assert kind == TEXT, (kind, data)
        told: dict[str, Any] = orjson.loads(data)
        return told

    async def close(self) -> None:
        await self.wire.send(frame(CLOSE, b"\x03\xe8", masked=True))
        assert (await read_message(self.wire))[0] == CLOSE
        assert await self.wire.rest() == b""


async def until(holds: Callable[[], object]) -> None:
    """Waits for a state that announces itself to nobody."""
    with anyio.fail_after(PATIENCE):
        while not holds():
            await anyio.sleep(0.001)
