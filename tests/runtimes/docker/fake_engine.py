"""An engine that answers as a test wants it to, over a Unix socket."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import SocketStream

_REQUEST = re.compile(rb"(\w+) (?:/v[\d.]+)?(/[^ ?]*)")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
#: Instead of an answer: none at all, and the end of the connection.
SILENCE, HANGUP = 0, -1


class FakeEngine:
    """`answers`: method and a part of the path → status and body; what has none is missing.

    A body of bytes is sent as it is. `asked` has what was asked for.
    """

    def __init__(self, path: Path) -> None:
        self.socket = str(path)
        self.version = "1.43"
        self.asked: list[str] = []
        #: Connections that are open.
        self.open = 0
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}

    async def serve(self, stream: SocketStream) -> None:
        self.open += 1
        try:
            await self._serve(stream)
        finally:
            self.open -= 1

    async def _serve(self, stream: SocketStream) -> None:
        async with stream:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    try:
                        data += await stream.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        return
                head, _, data = data.partition(b"\r\n\r\n")
                length = int(found[1]) if (found := _LENGTH.search(head)) else 0
                while len(data) < length:
                    data += await stream.receive()
                data = data[length:]
                if not await self._answer(stream, head):
                    return

    async def _answer(self, stream: SocketStream, head: bytes) -> bool:
        request = _REQUEST.match(head)
        assert request is not None
        method, path = request[1].decode(), request[2].decode()
        self.asked.append(f"{method} {path}")
        status, body = self._find(method, path)
        if status == SILENCE:
            await anyio.sleep_forever()
        if status == HANGUP:
            return False
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        top = f"HTTP/1.1 {status} Fake\r\nApi-Version: {self.version}\r\nContent-Length: {len(data)}\r\n\r\n"
        await stream.send(top.encode() + data)
        return True

    def _find(self, method: str, path: str) -> tuple[int, Any]:
        for (of, part), answer in self.answers.items():
            if of == method and part in path:
                return answer
        return (200, b"OK") if path == "/_ping" else (404, {"message": f"no such thing: {path}"})


@asynccontextmanager
async def fake_engine(path: Path) -> AsyncIterator[FakeEngine]:
    """Listens until the block ends."""
    made = FakeEngine(path)
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, made.serve)
        yield made
        tasks.cancel_scope.cancel()
