"""Where the frames of a WebSocket end, and the one that says goodbye (RFC 6455, sections 5.2 and 5.5). Pure.

A frame of our own may only go out between two of the service's; so what the service sends is counted along.
"""

from __future__ import annotations

import struct

#: RFC 6455's registry: the server is restarting, and who comes again finds it, or its successor.
SERVICE_RESTART = 1012
#: Who is connected may not be any more.
POLICY_VIOLATION = 1008


class Frames:
    """What one side has sent so far. `between`: its last frame is complete."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    @property
    def between(self) -> bool:
        return not self._left and not self._head

    def feed(self, data: bytes, *, to_the_end: bool = False) -> int:
        """Takes what comes next. Returns how much of it; `to_the_end`: no more than belongs to this frame."""
        position = 0
        while position < len(data) and not (to_the_end and self.between):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
            else:
                position += self._take_head(data[position : position + 14])
        return position

    def _take_head(self, data: bytes) -> int:
        """Returns how many of these bytes are the head's, as far as they go."""
        head = self._head + data
        short = head[1] & 0x7F if len(head) > 1 else 0
        size = 2 + (2 if short == 126 else 8 if short == 127 else 0)
        masked = 4 if len(head) > 1 and head[1] & 0x80 else 0
        if len(head) < max(size, 2) + masked:
            self._head = head
            return len(data)
        length = short if size == 2 else int.from_bytes(head[2:size], "big")
        used = size + masked - len(self._head)
        self._head, self._left = b"", length
        return used


def goodbye(code: int, reason: bytes) -> bytes:
    """The Close frame of a server; the reason is short."""
    payload = struct.pack(">H", code) + reason
    return bytes([0x88, len(payload)]) + payload
