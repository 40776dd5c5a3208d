"""The two ways in which the engine puts messages into a stream: lines of JSON, and frames of output. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# One frame: 1 for stdout or 2 for stderr, three zeros, the length of what follows (Docker's "attach" format).
_FRAME = struct.Struct(">BxxxI")


async def json_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Each object of a stream, as it arrives. Raises ValueError for what is no JSON."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield orjson.loads(line)
    if rest.strip():
        yield orjson.loads(rest)


class Demultiplexer:
    """Takes the output of a container apart, whichever way its bytes are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(1 for stdout or 2 for stderr, what was written) for each frame that is complete by now."""
        data = self._rest + data
        start = 0
        while len(data) - start >= _FRAME.size:
            stream, length = _FRAME.unpack_from(data, start)
            end = start + _FRAME.size + length
            if end > len(data):
                break
            yield stream, data[start + _FRAME.size : end]
            start = end
        self._rest = data[start:]
