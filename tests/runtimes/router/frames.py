"""WebSocket frames by hand (RFC 6455, section 5.2), as long as a test needs them."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Wire

TEXT, BINARY, CLOSE = 1, 2, 8
_FIN, _MASKED = 0x80, 0x80


def frame(kind: int, payload: bytes, *, masked: bool = False, last: bool = True) -> bytes:
    """One frame. Clients mask theirs; `last`: no more of the message follows (then with kind 0)."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 1 << 16 else 127
    length = {126: struct.pack(">H", size & 0xFFFF), 127: struct.pack(">Q", size)}.get(short, b"")
    head = bytes([kind | (_FIN if last else 0), short | (_MASKED if masked else 0)]) + length
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + _mask(payload, key)


async def read_frame(wire: Wire) -> tuple[int, bytes, bool]:
    """The next frame: its kind, its payload, and whether it is the last of its message."""
    first, second = await wire.exactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", await wire.exactly(2))
    elif size == 127:
        (size,) = struct.unpack(">Q", await wire.exactly(8))
    key = await wire.exactly(4) if second & _MASKED else b"\0\0\0\0"
    return first & 0xF, _mask(await wire.exactly(size), key), bool(first & _FIN)


async def read_message(wire: Wire) -> tuple[int, bytes]:
    """The next message, from as many frames as it has."""
    kind, data, last = await read_frame(wire)
    while not last:
        _, more, last = await read_frame(wire)
        data += more
    return kind, data


async def echo_messages(asked: Asked) -> None:
    """A service that sends every message back as it came, until the client closes."""
    await asked.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    while True:
        kind, data = await read_message(asked)
        await asked.send(frame(kind, data))
        if kind == CLOSE:
            await asked.close()
            return


def _mask(data: bytes, key: bytes) -> bytes:
    repeated = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(data), "big")
