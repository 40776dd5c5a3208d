"""One end of a connection, for a test's clients and services: bytes as they are, HTTP taken apart.

Nothing here is forgiving or clever: a test sends the bytes that it names, and sees those that come.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from anyio.abc import SocketStream

_END = b"\r\n\r\n"
#: Seconds that anything may take on a busy machine. Said here, because uvloop lets no signal end a test.
PATIENCE = 60.0
#: Their answers have no body, whatever their fields say.
_BODILESS = frozenset({204, 304})


@dataclass
class Message:
    """A request or an answer. `fields` are in order, with names in small letters; `body` once it was read."""

    raw: bytes
    line: str
    fields: list[tuple[str, str]]
    body: bytes = b""

    @classmethod
    def parse(cls, head: bytes) -> Message:
        line, *fields = head.removesuffix(_END).decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in fields)
        return cls(head, line, [(name.lower(), value.strip()) for name, _, value in pairs])

    def __getitem__(self, name: str) -> str:
        """The value of a field that is there once; empty without it."""
        found = [value for field, value in self.fields if field == name]
        assert len(found) <= 1, f"{name} stands there {len(found)} times"
        return found[0] if found else ""

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.fields}

    # -- a request

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    # -- an answer

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection, and what came but was not asked for yet."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self._ahead = b""

    async def send(self, data: bytes) -> None:
        """Returns once the kernel has it, or little of it is left."""
        with anyio.fail_after(PATIENCE):
            await self.stream.send(data)

    async def end(self) -> None:
        """Nothing more will be sent; what comes can still be read."""
        await self.stream.send_eof()

    async def close(self) -> None:
        await self.stream.aclose()

    async def some(self) -> bytes:
        """What comes next, empty at the end."""
        ahead, self._ahead = self._ahead, b""
        if ahead:
            return ahead
        try:
            with anyio.fail_after(PATIENCE):
                return await self.stream.receive()
        except anyio.EndOfStream:
            return b""

    async def exactly(self, size: int) -> bytes:
        data, self._ahead = bytearray(self._ahead), b""
        while len(data) < size:
            data += await self._more(data)
        self._ahead = bytes(data[size:])
        return bytes(data[:size])

    async def until(self, mark: bytes) -> bytes:
        """Everything up to the mark, with it."""
        data = b""
        while mark not in data:
            data += await self._more(data)
        end = data.index(mark) + len(mark)
        data, self._ahead = data[:end], data[end:]
        return data

    async def rest(self) -> bytes:
        """Everything that comes until the other side ends the connection, or breaks it off."""
        data = b""
        while piece := await self._piece_or_break():
            data += piece
        return data

    async def _more(self, data: bytes | bytearray) -> bytes:
        piece = await self.some()
        if not piece:
            raise EOFError(f"the connection ended after {len(data)} bytes: {bytes(data[-200:])!r}")
        return piece

    async def _piece_or_break(self) -> bytes:
        try:
            return await self.some()
        except anyio.BrokenResourceError:
            return b""

    # -- HTTP

    async def head(self) -> Message:
        return Message.parse(await self.until(_END))

    async def idle(self) -> None:
        """Returns when something comes, however long nothing does. Raises EOFError at the end."""
        try:
            self._ahead = self._ahead or await self.stream.receive()
        except anyio.EndOfStream:
            raise EOFError from None

    async def chunk(self) -> bytes:
        """The payload of one chunk; empty for the last one, after which no trailer may come."""
        size = int(await self.until(b"\r\n"), 16)
        data = await self.exactly(size)
        assert await self.exactly(2) == b"\r\n"
        return data

    async def body_of(self, message: Message) -> bytes:
        """The body of a message whose framing says where it ends."""
        if message["transfer-encoding"] == "chunked":
            data = b""
            while piece := await self.chunk():
                data += piece
            return data
        return await self.exactly(int(message["content-length"] or 0))

    async def answer(self, *, to: str = "GET") -> Message:
        """A whole answer to a request with that method."""
        answer = await self.head()
        if to == "HEAD" or answer.status < 200 or answer.status in _BODILESS:
            return answer
        if "content-length" in answer.names or "transfer-encoding" in answer.names:
            answer.body = await self.body_of(answer)
        else:
            answer.body = await self.rest()
        return answer


def request(
    method: str,
    target: str = "/",
    *fields: str,
    host: str = "localhost",
    body: bytes | None = None,
    version: str = "1.1",
) -> bytes:
    """The bytes of a request, with a Content-Length if it has a body."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + _END + (body or b"")


def reply(status: int, body: bytes | str = b"", *fields: str) -> bytes:
    """The bytes of an answer with a Content-Length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode("latin-1") + _END + body


def chunks(*pieces: bytes) -> bytes:
    """A whole chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
