"""A connection of the socket where tunnels arrive: the daemon says first whose device is at the other end.

A line of JSON, {"noiseKey", "secret"}: the key was proven to the daemon, and the secret is what only the
node, its daemon and its router know, so that another program of this machine cannot say it. Only then is
there a
client.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, cast

import orjson

from runtimes.router.carry.device import DeviceDesk
from runtimes.router.carry.handlers import accept

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Plane

#: Bytes of the line, and seconds that it may take: the daemon writes it at once.
LONGEST_LINE, PATIENCE = 1024, 10.0


class Introduction(asyncio.Protocol):
    """Gives way to a `Client`, or ends the connection."""

    def __init__(self, plane: Plane, secret: str) -> None:
        self._plane = plane
        self._secret = secret.encode()
        self._said = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._said += data
        line, end, rest = self._said.partition(b"\n")
        if not end:
            if len(line) > LONGEST_LINE:
                self._transport.abort()
            return
        self._timer.cancel()
        key = _key_of(line, self._secret)
        if key not in self._plane.table.devices:
            self._transport.abort()
            return
        client = accept(self._plane, DeviceDesk(self._plane, key))
        self._transport.set_protocol(client)
        client.connection_made(self._transport)
        # As an address is: in the log, and for whom anonymous requests are counted.
        client.peer, client.device = f"device:{key[:16]}", key
        if rest:
            client.data_received(rest)

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()


def _key_of(line: bytes, secret: bytes) -> str:
    """The key that was proven; empty where anybody else says it."""
    try:
        said = orjson.loads(line)
        proof, key = said["secret"].encode(), said["noiseKey"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return key if secret and hmac.compare_digest(proof, secret) and isinstance(key, str) else ""
