"""The router's process: listens on the sockets it was given, and does what the node tells it over the link.

The link carries JSON, one object a line. Its order is its meaning: an instance that was taken out of the
routes gets nothing more by the time somebody asks whether it is drained. When the link ends, so does the
router: a node that is gone has nothing to route.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import uvloop

from runtimes.router.carry.doors import Doors, listen, listen_for_devices
from runtimes.router.carry.plane import Plane
from runtimes.router.decide.table import Session, route_from_json
from runtimes.router.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Bytes of one message of the node: all routes of a large one.
LONGEST_MESSAGE = 256 * 1024 * 1024
#: Seconds between two looks at what is due.
SWEEP = 0.5


def run(link: int, listeners: Iterable[int], doors: int, tunnel: int = -1) -> None:
    """Serves until the link ends."""
    # The node says when the end has come; a terminal's Ctrl-C is for the node.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_many_connections()
    sockets = [socket.socket(fileno=descriptor) for descriptor in listeners]
    arrivals = socket.socket(fileno=tunnel) if tunnel >= 0 else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(socket.socket(fileno=link), sockets, socket.socket(fileno=doors), arrivals))


async def _serve(
    link: socket.socket, sockets: list[socket.socket], opened: socket.socket, arrivals: socket.socket | None
) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=link, limit=LONGEST_MESSAGE)
    first = await reader.readline()
    if not first:
        return
    start = orjson.loads(first)
    plane = make_plane(start)
    answer = Answerer(plane, writer.write)
    # What is still to come with the first messages is all that is known; only then may anybody ask.
    await _until_started(reader, answer)
    servers = [await listen(plane, each) for each in sockets]
    if arrivals is not None:
        servers.append(await listen_for_devices(plane, arrivals, start["tunnelSecret"]))
    doors = Doors(plane, opened)
    gc.freeze()
    # Exchanges leave no cycles behind; what little there is can wait.
    gc.set_threshold(20_000, 20, 50)
    sweeper = asyncio.get_running_loop().create_task(_sweep(plane))
    try:
        await _obey(reader, answer)
    finally:
        sweeper.cancel()
        for server in servers:
            server.close()
        doors.close()
        plane.flush()
        os._exit(0)


def make_plane(start: dict[str, Any]) -> Plane:
    """The plane for what the node's first message says."""
    return Plane(
        domain=start["domain"],
        admin_tokens=start["adminTokens"],
        readers=start.get("readTokens", ()),
        limits=Limits(**start.get("limits", {})),
        access_log=start.get("accessLog", ""),
        trusted_proxies=start.get("trustedProxies", ()),
        node=(os.getppid(), start.get("run", "")),
    )


async def _until_started(reader: asyncio.StreamReader, answer: Answerer) -> None:
    while line := await reader.readline():
        message = orjson.loads(line)
        answer.take(message)
        if "listen" in message:
            return


async def _obey(reader: asyncio.StreamReader, answer: Answerer) -> None:
    while line := await reader.readline():
        answer.take(orjson.loads(line))


async def _sweep(plane: Plane) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        plane.sweep()


class Answerer:
    """Carries out the node's messages; `write` takes the answers."""

    def __init__(self, plane: Plane, write: Callable[[bytes], None]) -> None:
        self._plane = plane
        self._write = write
        self._waiting: set[asyncio.Task[None]] = set()

    def take(self, message: dict[str, Any]) -> None:
        if "routes" in message:
            routes = message["routes"].items()
            self._plane.update({name: route and route_from_json(route) for name, route in routes})
        elif "sessions" in message:
            sessions = message["sessions"].items()
            self._plane.update_sessions({name: value and Session(**value) for name, value in sessions})
        elif "private" in message:
            self._plane.set_private(message["private"])
        elif "tls" in message:
            self._plane.take_certificate(**message["tls"])
        elif "seen" in message:
            self._reply(message, {"seen": self._plane.take_seen()})
        elif "told" in message:
            # What came before is done.
            self._reply(message, {})
        elif "devices" in message:
            devices = message["devices"].items()
            self._plane.set_devices({key: session and Session(**session) for key, session in devices})
        elif "drained" in message:
            self._drain(message)
        elif "metrics" in message:
            self._reply(message, {"text": self._plane.metrics.text(self._plane.upstreams())})
        elif "end" in message:
            self._reply_when(self._plane.end(), message)

    def _drain(self, message: dict[str, Any]) -> None:
        pool = self._plane.pools.get(message["drained"])
        if pool is None:
            self._reply(message, {})
        else:
            self._reply_when(pool.drained(hurry=message["hurry"], restart=message["restart"]), message)

    def _reply_when(self, event: asyncio.Event, message: dict[str, Any]) -> None:
        async def wait() -> None:
            await event.wait()
            self._reply(message, {})

        task = asyncio.get_running_loop().create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def _reply(self, message: dict[str, Any], answer: dict[str, Any]) -> None:
        self._write(orjson.dumps({"id": message["id"], **answer}) + b"\n")


def _allow_many_connections() -> None:
    """Each connection is a descriptor; the usual soft limit of 1024 is for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
