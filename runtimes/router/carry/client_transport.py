"""The transport of a client's connection: who is at its other end, and whether it is read at the moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_ORIGIN = b"\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-For: %b\r\n\r\n"


class ClientTransport(asyncio.Protocol):
    """`peer` is the client's address, empty on a Unix socket; `scheme` is https where it speaks TLS.

    `device` is the key of the one at a tunnel's other end, empty for anybody else.

    `origin` are the last field lines of a request that is passed on, which say so.
    """

    __slots__ = ("_paused", "device", "origin", "peer", "scheme", "send", "transport")

    def __init__(self) -> None:
        self.peer = ""
        self.device = ""
        self.scheme = b"http"
        self.origin = b""
        self.transport: asyncio.Transport
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by class.
        transport = cast("asyncio.Transport", transport)
        self.transport = transport
        self.send: Callable[[bytes | memoryview], None] = transport.write
        name = transport.get_extra_info("peername")
        self.peer = name[0] if isinstance(name, tuple) else ""
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = b"https"
        self.origin = _ORIGIN % (self.scheme, self.peer.encode() or b"unix")

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read of it at the moment."""
        return self._paused

    def abort_all(self) -> None:
        """Ends it, whatever it is doing."""
        self.transport.abort()

    def pause_body(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def write_eof(self) -> None:
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
