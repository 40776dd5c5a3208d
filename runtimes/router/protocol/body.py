"""Where a body ends: by its length, by its last chunk, or with the connection. Pure.

Each kind takes bytes as they come and gives back the payload and what no longer belongs to the body. Chunked
bodies are taken apart strictly and put together anew by whoever passes them on, so that nothing malformed
and no extension or trailer gets through.
"""

from __future__ import annotations

import re
from typing import Protocol

#: Of a line with a chunk's size; extensions are dropped, but may be there.
LONGEST_SIZE_LINE = 256
#: Of all trailers together; they are dropped too.
LONGEST_TRAILERS = 8192
LAST_CHUNK = b"0\r\n\r\n"

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class BadBody(Exception):
    """The framing is broken: nothing after it can be trusted."""


class Body(Protocol):
    """One body on its way."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The payload in `data`, and the bytes after the end. Raises BadBody."""
        ...


class FixedBody:
    """As long as its Content-Length says."""

    __slots__ = ("_left", "done")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            return data, b""
        self._left = 0
        self.done = True
        return (data, b"") if len(data) == left else (data[:left], data[left:])


class EndlessBody:
    """Ends with the connection."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class ChunkedBody:
    """RFC 9112, section 7.1: strictly CRLF, sizes of up to 15 hexadecimal digits."""

    __slots__ = ("_left", "_line", "_read", "_trailers", "done")

    def __init__(self) -> None:
        self.done = False
        self._line = b""
        self._left = 0
        self._trailers = 0
        self._read = self._size

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        payload: list[bytes] = []
        while data and not self.done:
            data = self._read(data, payload)
        return (payload[0] if len(payload) == 1 else b"".join(payload)), data

    def _size(self, data: bytes, payload: list[bytes]) -> bytes:
        line, data = self._take_line(data, LONGEST_SIZE_LINE)
        if line is None:
            return data
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise BadBody("a chunk does not begin with its size")
        self._left = int(match[1], 16)
        self._read = self._data if self._left else self._trailer
        return data

    def _data(self, data: bytes, payload: list[bytes]) -> bytes:
        piece = data[: self._left]
        payload.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._read = self._end_of_chunk
        return data[len(piece) :]

    def _end_of_chunk(self, data: bytes, payload: list[bytes]) -> bytes:
        line, data = self._take_line(data, 2)
        if line is None:
            return data
        if line:
            raise BadBody("a chunk is longer than its size")
        self._read = self._size
        return data

    def _trailer(self, data: bytes, payload: list[bytes]) -> bytes:
        line, data = self._take_line(data, LONGEST_TRAILERS)
        if line is None:
            return data
        if not line:
            self.done = True
            return data
        self._trailers += len(line)
        if self._trailers > LONGEST_TRAILERS or not _TRAILER.fullmatch(line):
            raise BadBody("a trailer is not a header field")
        return data

    def _take_line(self, data: bytes, longest: int) -> tuple[bytes | None, bytes]:
        """A whole line without its CRLF; None, and nothing left, while it is not complete."""
        end = data.find(b"\n")
        line = self._line + (data if end < 0 else data[: end + 1])
        if len(line) > longest + 2:
            raise BadBody("a line between chunks is too long")
        if end < 0:
            if b"\r" in line[:-1]:
                raise BadBody("a line between chunks has a bare CR")
            self._line = line
            return None, b""
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise BadBody("a line between chunks does not end in CRLF")
        self._line = b""
        return line[:-2], data[end + 1 :]


def body_of(length: int) -> Body:
    """The reader for a head's `length`: bytes, -1 chunked, -2 to the end of the connection."""
    if length >= 0:
        return FixedBody(length)
    return ChunkedBody() if length == -1 else EndlessBody()


def chunk(payload: bytes) -> bytes:
    """One chunk; an empty payload would be the last one, and makes none."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
