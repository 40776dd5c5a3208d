"""Generated answers of services to a live router: whoever asked gets one answer or sees it cut off, and
whoever asks next gets its own.

What comes back is read with h11, which is strict. An answer that the router passes on must be one to h11 too,
with the same status and no other body.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h11
import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtimes.router.carry.handlers import accept
from runtimes.router.carry.plane import Plane
from runtimes.router.decide.table import Backend, Credential, Export, ServiceRoute
from runtimes.router.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Services that are tried next to each other, each with an instance of its own.
LANES = 8
QUICK = Limits(answering=0.15, stalled=0.15, lingering=0.1, answer=65536)
PATIENCE = 20.0
#: What the router answers itself, where a service does not.
OWN = frozenset({502, 504})
_RESET = struct.pack("ii", 1, 0)

LINES = [
    b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching", b"HTTP/1.1 103 Hints", b"HTTP/1.1 500 Oh",
    b"HTTP/1.1 600 Odd", b"HTTP/2 200", b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: 41",
    b"Content-Length: 05", b"Content-Length: -1", b"Content-Length: 5, 5", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip", b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade",
    b"Keep-Alive: timeout=1", b"Upgrade: websocket", b"Set-Cookie: a=b", b"X: \x00", b"X: \xff", b" folded",
    b"X y", b"hello", b"5", b"0", b"5;x", b"5 ", b"ffffffff", b"zz", b"",
    b'{"jsonrpc":"2.0","id":7,"result":[1,"evil"]}', b'{"jsonrpc":"2.0","id":1,"result":[1,"abcd"]}',
]  # fmt: skip
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\n\r\n", b"\r", b""]
WHOLE = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b'HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n{"jsonrpc":"2.0","id":1,"result":[1,"abcd"]}',
]
pieces = st.one_of(
    st.sampled_from(WHOLE),
    st.builds(lambda line, end: line + end, st.sampled_from(LINES), st.sampled_from(ENDS)),
    st.binary(max_size=6),
)


@dataclass(frozen=True)
class Script:
    """What an instance answers: pieces, and what it does then (keep, close, reset its connection)."""

    pieces: list[bytes]
    then: str

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


scripts = st.builds(
    Script, st.lists(pieces, min_size=1, max_size=9), st.sampled_from(["keep", "keep", "close", "reset"])
)


class Lane:
    """One service, and what its instance is to answer next."""

    def __init__(self, number: int, folder: Path) -> None:
        self.id = f"lane{number}"
        self.socket = str(folder / self.id)
        self.script: Script | None = None
        self.played = asyncio.Event()

    @property
    def route(self) -> ServiceRoute:
        exports = (Export(self.id, "/rpc"),)
        return ServiceRoute(
            self.id, f"key-of-{self.id}", exports=exports,
            backends=(Backend(self.id, socket=self.socket, exports=exports),),
            credentials=(Credential(f"token-of-{self.id}"),),
        )  # fmt: skip

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(_length(head))
                script, self.script = self.script, None
                if script is None:
                    target = head.split(b" ")[1]
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))
                elif not await self._play(script, head, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, RuntimeError):
            # The router left, which it may. (uvloop says RuntimeError where a transport is closed.)
            pass
        finally:
            self.played.set()
            writer.close()

    async def _play(self, script: Script, head: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on. A body that has begun may take as long as it likes: so it ends."""
        for piece in script.pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        await writer.drain()
        self.played.set()
        if script.then == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        answer = read(script.data, head.split(b" ")[0].decode(), ended=False)
        return script.then == "keep" and (isinstance(answer, str) or answer.whole)


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


class Stage:
    """A router with its lanes, and all that went wrong."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.folder = Path(tempfile.mkdtemp(prefix="atek-fuzz-"))
        self.wrong: list[str] = []
        self.runner.run(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.wrong.append(str(context)))
        self.plane = Plane(limits=QUICK)
        self.lanes = [Lane(number, self.folder) for number in range(LANES)]
        self.servers: list[asyncio.AbstractServer] = [
            await asyncio.start_unix_server(lane.serve, lane.socket) for lane in self.lanes
        ]
        router = await loop.create_server(lambda: accept(self.plane), "127.0.0.1", 0)
        self.port = router.sockets[0].getsockname()[1]
        self.servers.append(router)
        self.plane.update({lane.id: lane.route for lane in self.lanes})
        self._sweeper = loop.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(0.03)
            self.plane.sweep()

    def close(self) -> None:
        async def close() -> None:
            self._sweeper.cancel()
            for server in self.servers:
                server.close()
            for pool in self.plane.pools.values():
                pool.retire()
            await asyncio.sleep(0.05)

        self.runner.run(close())
        self.runner.close()
        shutil.rmtree(self.folder)

    # -- asking

    async def ask(self, data: bytes) -> bytes:
        """All that comes back on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(), PATIENCE)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def get(self, lane: Lane, target: str, method: str = "GET") -> bytes:
        host = f"{lane.id}.localhost"
        return await self.ask(
            f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )

    async def call(self, lane: Lane) -> bytes:
        body = b'{"jsonrpc":"2.0","id":1,"method":"m","params":[]}'
        lines = [
            f"POST /_atek/gateway?api={lane.id} HTTP/1.1", "Host: localhost", "Connection: close",
            f"Authorization: Bearer token-of-{lane.id}", f"Content-Length: {len(body)}", "", "",
        ]  # fmt: skip
        return await self.ask("\r\n".join(lines).encode() + body)

    # -- what has to hold

    async def try_lane(self, lane: Lane, script: Script) -> None:
        for method in ("GET", "HEAD", "CALL"):
            lane.script = script
            lane.played.clear()
            answer = await (self.call(lane) if method == "CALL" else self.get(lane, "/script", method))
            self._look_at(script, method, answer)
            await asyncio.wait_for(lane.played.wait(), PATIENCE)
            await self._settle()
            mine = await self.get(lane, f"/after/{method}")
            if not mine.endswith(b"\r\n\r\n/after/%b" % method.encode()):
                self.wrong.append(f"after {script} to {method} somebody got {mine!r}")

    async def _settle(self) -> None:
        """What an instance sent has arrived once whole exchanges of others went through the loop since."""
        for _ in range(2):
            await self.ask(b"GET / HTTP/1.1\r\nHost: none.localhost\r\nConnection: close\r\n\r\n")

    def _look_at(self, script: Script, method: str, raw: bytes) -> None:
        if not raw:
            if method == "CALL":
                self.wrong.append(f"{script}: a call was not answered")
            return
        found = read(raw, method, ended=True)
        if isinstance(found, str):
            self.wrong.append(f"{script}: {method} got {raw!r}: {found}")
        elif method == "CALL":
            answer = json.loads(found.body)
            if found.status != 200 or answer["id"] != 1 or ("result" in answer) == ("error" in answer):
                self.wrong.append(f"{script}: a call got {raw!r}")
        elif found.status not in OWN:
            theirs = read(script.data, method, ended=script.then == "close")
            if isinstance(theirs, str) or theirs.status != found.status:
                self.wrong.append(f"{script}: {method} got {raw!r}, which h11 does not: {theirs}")
            elif not (theirs.body.startswith(found.body) and (theirs.body == found.body or not found.whole)):
                self.wrong.append(f"{script}: {method} got another body: {raw!r}")

    def check(self, many: list[Script]) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(map(self.try_lane, self.lanes, many)))
            async with asyncio.timeout(PATIENCE):
                while self.plane.clients or any(pool.in_flight for pool in self.plane.pools.values()):
                    await asyncio.sleep(0.005)

        self.runner.run(all_of_them())
        assert self.wrong == []
        assert (self.plane.metrics.in_flight, self.plane.metrics.connections) == (0, 0)


@dataclass(frozen=True)
class Read:
    """An answer, and whether it is known to be whole."""

    status: int
    body: bytes
    whole: bool


def read(raw: bytes, method: str, *, ended: bool) -> Read | str:
    """The first answer in these bytes, or what is wrong with it."""
    wire = h11.Connection(h11.CLIENT)
    wire.send(h11.Request(method="POST" if method == "CALL" else method, target="/", headers=[("host", "x")]))
    wire.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        wire.receive_data(raw)
        if ended:
            wire.receive_data(b"")
        while True:
            event = wire.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Read(status, body, whole=True)
            elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                break
    except h11.RemoteProtocolError as error:
        if not status:
            return str(error)
    return Read(status, body, whole=False) if status else "there is no answer in it"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


MANY = st.lists(scripts, min_size=LANES, max_size=LANES)
QUIETLY = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example)


@settings(max_examples=25, deadline=None, suppress_health_check=QUIETLY)
@given(many=MANY)
@example(many=[Script([WHOLE[number % 5], *([WHOLE[0]] * (number // 5))], "keep") for number in range(LANES)])
def test_whatever_a_service_answers_is_one_answer_or_none(stage: Stage, many: list[Script]) -> None:
    stage.check(many)


@pytest.mark.soak
@settings(max_examples=1500, deadline=None, suppress_health_check=QUIETLY)
@given(many=MANY)
def test_whatever_services_answer_for_long(stage: Stage, many: list[Script]) -> None:
    stage.check(many)
