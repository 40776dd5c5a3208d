"""As much of Redis' protocol as tests say: https://redis.io/docs/latest/develop/reference/protocol-spec/."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Redis:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self._socket.makefile("rb")

    def call(self, *words: str) -> str:
        """A simple string or a bulk string. Raises ValueError for everything else, errors among it."""
        encoded = [word.encode() for word in words]
        lines = [b"*%d" % len(encoded), *(each for word in encoded for each in (b"$%d" % len(word), word))]
        self._socket.sendall(b"\r\n".join([*lines, b""]))
        head = self._file.readline().rstrip()
        if head[:1] == b"+":
            return head[1:].decode()
        if head[:1] != b"$" or head == b"$-1":
            raise ValueError(head.decode() or "closed")
        return self._file.read(int(head[1:]) + 2)[:-2].decode()

    def __enter__(self) -> Redis:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()
