"""The way out for what strangers name: to public addresses, and to nothing of this machine or its network.

    git ── CONNECT host:port ──► this proxy ── name → addresses → judged ──► the very address that was judged

A repository that another node's record names is fetched by git with this as its proxy (CONNECT, RFC 9110
9.3.6), for as long as git runs. Whatever host git comes to (the repository, its submodules, where a server
sends it) is resolved here and nowhere else, so that no second look-up can answer something else.
"""

from __future__ import annotations

import re
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

from runtimes.network import addresses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import ByteReceiveStream, SocketStream

_CONNECT = re.compile(
    rb"CONNECT (?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,255}):(?P<port>[0-9]{1,5}) HTTP/1\.[01]"
)
#: Bytes of a request's head; seconds until it is there, and until somebody is connected.
_HEAD, _PATIENCE = 8192, 15.0
#: Connections at a time: git has one or two.
_MOST = 16
_CHUNK = 65536
#: How a connection may end.
_ENDS = (OSError, TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


def is_public(address: str) -> bool:
    """Whether an IP address, maybe with a zone, is of the public network."""
    return addresses.is_public(ip_address(address.partition("%")[0]))


@dataclass(slots=True)
class PublicWay:
    """A proxy on loopback. `refused`: hosts that have no public address, as they were asked for."""

    url: str = ""
    refused: list[str] = field(default_factory=list)


@asynccontextmanager
async def public_way(judge: Callable[[str], bool] | None = None) -> AsyncIterator[PublicWay]:
    """Open until the context ends. `judge`: which addresses are public; see `is_public`."""
    way = PublicWay()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    way.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    free = anyio.CapacityLimiter(_MOST)

    async def serve(client: SocketStream) -> None:
        async with client, free:
            with suppress(*_ENDS):
                await _serve(client, way, judge or is_public)

    failure: Exception | None = None
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        try:
            yield way
        except Exception as error:
            # Raised below: whoever is in here is told what went wrong, and not that it did so beside a proxy.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _serve(client: SocketStream, way: PublicWay, judge: Callable[[str], bool]) -> None:
    with anyio.fail_after(_PATIENCE):
        head, rest = await _head(client)
    asked = _CONNECT.match(head)
    if asked is None or int(asked["port"]) > 65535:
        await client.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        return
    server = await _connect(asked["host"].decode().strip("[]"), int(asked["port"]), way, judge)
    if server is None:
        await client.send(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")
        return
    async with server:
        await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if rest:
            await server.send(rest)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_carry, server, client)
            await _carry(client, server)


async def _head(client: ByteReceiveStream) -> tuple[bytes, bytes]:
    """The request's head, and what came behind it."""
    got = b""
    while b"\r\n\r\n" not in got and len(got) < _HEAD:
        got += await client.receive(_CHUNK)
    head, _, rest = got.partition(b"\r\n\r\n")
    return head, rest


async def _connect(host: str, port: int, way: PublicWay, judge: Callable[[str], bool]) -> SocketStream | None:
    """A connection to one of the host's public addresses; None where it has none, or nobody answers."""
    with suppress(OSError, UnicodeError, TimeoutError):
        with anyio.fail_after(_PATIENCE):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        public = [address for *_, (address, *_) in found if judge(str(address))]
        if not public:
            way.refused.append(host)
        for address in public:
            with suppress(OSError, TimeoutError), anyio.fail_after(_PATIENCE):
                return await anyio.connect_tcp(str(address), port)
    return None


async def _carry(source: ByteReceiveStream, to: SocketStream) -> None:
    """Until the one end has no more to say."""
    with suppress(anyio.EndOfStream):
        while True:
            await to.send(await source.receive(_CHUNK))
    await to.send_eof()
