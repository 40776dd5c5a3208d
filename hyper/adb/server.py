"""The process: listens on the socket that it was assigned, until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hyper.adb.application import Adb
from hyper.adb.http import Connection

if TYPE_CHECKING:
    from hyper.port import Hyper

#: Seconds for what is being answered when the end comes.
LAST_ANSWERS = 5.0
_BACKLOG = 1024


async def serve(hyper: Hyper, socket: str, *, own: str = "", stop: asyncio.Event | None = None) -> None:
    """Serves until `stop` is set, or SIGTERM or SIGINT comes where there is none."""
    stop = stop or _signalled()
    adb = Adb(hyper, own=own)
    connections = Connections(adb)
    _remove(socket)
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(connections.make, socket, backlog=_BACKLOG)
    os.chmod(socket, 0o600)
    work = loop.create_task(adb.run())
    work.add_done_callback(lambda _: stop.set())
    try:
        await stop.wait()
    finally:
        server.close()
        for feed in list(adb.feeds):
            feed.end()
        await connections.end()
        work.cancel()
        await _outcome(work)


class Connections:
    """Those that are there now."""

    def __init__(self, adb: Adb) -> None:
        self._adb = adb
        self._all: set[Connection] = set()
        self._changed = asyncio.Event()

    def make(self) -> Connection:
        connection = Connection(self._adb, self._lost)
        self._all.add(connection)
        return connection

    async def end(self) -> None:
        """Returns when all is answered that was asked, or after `LAST_ANSWERS`."""
        for connection in list(self._all):
            connection.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWERS):
                while self._all:
                    self._changed.clear()
                    await self._changed.wait()

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._changed.set()


async def _outcome(work: asyncio.Task[Any]) -> None:
    """A defect ends the process, and is told."""
    with suppress(asyncio.CancelledError):
        await work


def _signalled() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _remove(socket: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(socket)


def prepare_process() -> None:
    """Memory and descriptors of a process that serves many."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
