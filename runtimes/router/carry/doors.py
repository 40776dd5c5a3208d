"""Listeners that the node has opened and closed while the router runs: instances' doors, and the network's.

A packet of the node names a door. With descriptors of listeners it says for whom they are, and they are
served from then on; without, the door is closed. An instance's own (`door`) has that instance's token; one
for the network says what the node is called there, which service the port is for, and whether it speaks TLS.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from runtimes.router.carry.door import Door
from runtimes.router.carry.handlers import accept
from runtimes.router.carry.network_desk import NetworkDesk
from runtimes.router.decide.place import names_from_network

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Desk, Plane

    class Server(Protocol):
        """What listens."""

        def close(self) -> None: ...


_BACKLOG = 4096
#: Of one packet: bytes, and listeners.
LONGEST_PACKET, MOST_LISTENERS = 8192, 64


async def listen(plane: Plane, listener: socket.socket, desk: Desk | None = None) -> asyncio.AbstractServer:
    """Serves a listener, until the server that is returned is closed."""
    loop = asyncio.get_running_loop()
    if listener.family == socket.AF_UNIX:
        return await loop.create_unix_server(lambda: accept(plane, desk), sock=listener, backlog=_BACKLOG)
    return await loop.create_server(lambda: accept(plane, desk), sock=listener, backlog=_BACKLOG)


async def listen_for_devices(plane: Plane, listener: socket.socket, secret: str) -> asyncio.AbstractServer:
    """As `listen`, where the daemon brings what comes by tunnels."""
    from runtimes.router.carry.introduction import Introduction

    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(lambda: Introduction(plane, secret), sock=listener, backlog=_BACKLOG)


class Doors:
    """All doors of one router; `told` is where the node's packets come from."""

    def __init__(self, plane: Plane, told: socket.socket) -> None:
        self._plane = plane
        self._told = told
        self._open: dict[str, list[Server]] = {}
        #: Of services' own, by the names of doors.
        self._ports: dict[str, tuple[str, set[int]]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        told.setblocking(False)
        asyncio.get_running_loop().add_reader(told, self._hear)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._told)
        for instance in list(self._open):
            self._shut(instance)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            packet, descriptors, _, _ = socket.recv_fds(
                self._told, LONGEST_PACKET, MOST_LISTENERS, socket.MSG_CMSG_CLOEXEC
            )
            if not packet:
                # The node is gone; the link says so, too.
                asyncio.get_running_loop().remove_reader(self._told)
                return
            message = orjson.loads(packet)
            self._shut(message["door"])
            if descriptors:
                listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
                task = asyncio.get_running_loop().create_task(self._serve(message, listeners))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    async def _serve(self, message: dict[str, Any], listeners: list[socket.socket]) -> None:
        servers: list[Server] = []
        name, network = message["door"], message.get("network")
        if network is not None and network["service"]:
            self._ports[name] = network["service"], {each.getsockname()[1] for each in listeners}
            self._tell_ports()
        self._open[name] = servers
        for listener in listeners:
            if network is None:
                server: Server = await listen(self._plane, listener, Door(self._plane, message["token"]))
            else:
                server = await self._to_network(network, listener)
            if self._open.get(name) is servers:
                servers.append(server)
            else:
                server.close()

    async def _to_network(self, network: dict[str, Any], listener: socket.socket) -> Server:
        plane = self._plane
        names = names_from_network(
            plane.domain,
            network["hosts"],
            network["service"],
            after_people=network["afterPeople"],
            home=network.get("home", 0),
        )
        desk = NetworkDesk(plane, names)
        if not network["tls"]:
            return await listen(plane, listener, desk)
        # Most routers never need it.
        from runtimes.router.carry.tls_listener import TlsListener

        return TlsListener(plane, listener, desk, await plane.tls.ready())

    def _tell_ports(self) -> None:
        told: dict[str, set[int]] = {}
        for service_id, ports in self._ports.values():
            told.setdefault(service_id, set()).update(ports)
        self._plane.ports = told

    def _shut(self, name: str) -> None:
        if self._ports.pop(name, None):
            self._tell_ports()
        for server in self._open.pop(name, ()):
            server.close()
