"""A node's networks, with one sandbox in them and servers that say who they are."""

from __future__ import annotations

import shutil
import socket
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

from runtimes.network import dialling
from runtimes.network.inside import PROXY_PORT, SERVICES, layout
from runtimes.network.networks import Networks
from runtimes.network.rules import rules_of
from tests.runtimes.network.helpers import Inside, empty_network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import pytest
    from anyio.abc import SocketStream

PORT = 2835
#: Inside: connects, sends, and prints all that comes back.
TALK = """
import socket
with socket.create_connection({where!r}, 5) as s:
    s.sendall({data!r}); s.shutdown(socket.SHUT_WR)
    got = b""
    while piece := s.recv(65536): got += piece
    print(got.decode("latin-1"))
"""


class World:
    """A node's networks, with one sandbox in them and servers that say who they are."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.networks = Networks(PORT, lambda _, refusal: self.refused.append(str(refusal)))
        self.networks.gateway = self
        self.doors: dict[str, list[socket.socket]] = {}
        self.inside: Inside
        self.door = Path(tempfile.mkdtemp(prefix="atek-door-")) / "door"

    def open_door(self, instance: str, token: str, listeners: Sequence[socket.socket]) -> None:
        self.doors[instance] = list(listeners)

    def close_door(self, instance: str) -> None:
        for each in self.doors.pop(instance, ()):
            each.close()

    async def talk(self, host: str, port: int, data: bytes = b"hello") -> str:
        return await self.inside.run(TALK.format(where=(host, port), data=data))

    async def ask_proxy(self, line: str, rest: bytes = b"") -> str:
        return await self.talk(SERVICES, PROXY_PORT, f"{line} HTTP/1.1\r\n\r\n".encode() + rest)


@asynccontextmanager
async def server(answer: bytes = b"the server heard: ", host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Says what it heard once the other side has ended. Its port."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            heard = bytearray()
            async for piece in stream:
                heard += piece
            await stream.send(answer + heard)

    listener = await anyio.create_tcp_listener(local_host=host)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def world(*egress: str, user: int | None = None, words: Sequence[str] = ()) -> AsyncIterator[World]:
    made = World()
    inside = layout(rules_of(egress))
    with empty_network(
        *words, user=user, hosts=inside.hosts_file, resolver=inside.resolver_file
    ) as made.inside:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.networks.run)
            await made.networks.open("one", "svc", made.inside.pid, "token", egress, made.door)
            try:
                yield made
            finally:
                made.networks.close_all()
                shutil.rmtree(made.door.parent)
                tasks.cancel_scope.cancel()


def resolves(monkeypatch: pytest.MonkeyPatch, **names: str) -> None:
    """DNS as it is said; `_` in a name is a dot."""
    found = {name.replace("_", "."): address for name, address in names.items()}

    async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        if host not in found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found[host], port))]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)


def nothing_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of addresses, taken out: the servers of these tests are near, on loopback."""
    monkeypatch.setattr(dialling, "objection", lambda *_: "")
