"""The doors of instances (`door`), as the node has them opened and closed while the router runs.

A packet of the node names an instance. With descriptors of listeners it has the instance's token too, and
they are served from then on; without, the instance is gone, and so are its listeners.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from runtimes.router.carry.door import Door
from runtimes.router.carry.handlers import accept

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Desk, Plane

_BACKLOG = 4096
#: Of one packet: bytes, and listeners.
LONGEST_PACKET, MOST_LISTENERS = 4096, 8


async def listen(plane: Plane, listener: socket.socket, desk: Desk | None = None) -> asyncio.AbstractServer:
    """Serves a listener, until the server that is returned is closed."""
    loop = asyncio.get_running_loop()
    if listener.family == socket.AF_UNIX:
        return await loop.create_unix_server(lambda: accept(plane, desk), sock=listener, backlog=_BACKLOG)
    return await loop.create_server(lambda: accept(plane, desk), sock=listener, backlog=_BACKLOG)


class Doors:
    """All doors of one router; `told` is where the node's packets come from."""

    def __init__(self, plane: Plane, told: socket.socket) -> None:
        self._plane = plane
        self._told = told
        self._open: dict[str, list[asyncio.AbstractServer]] = {}
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
            self._shut(message["instance"])
            if descriptors:
                door = Door(self._plane, message["token"])
                listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
                task = asyncio.get_running_loop().create_task(
                    self._open_door(message["instance"], door, listeners)
                )
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    async def _open_door(self, instance: str, door: Door, listeners: list[socket.socket]) -> None:
        servers: list[asyncio.AbstractServer] = []
        self._open[instance] = servers
        for listener in listeners:
            server = await listen(self._plane, listener, door)
            if self._open.get(instance) is servers:
                servers.append(server)
            else:
                server.close()

    def _shut(self, instance: str) -> None:
        for server in self._open.pop(instance, ()):
            server.close()
