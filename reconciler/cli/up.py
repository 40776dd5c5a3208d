"""`atek up`: the node in this terminal.

Lines are written by a thread of their own: a terminal that stands still (Ctrl-S, a full pipe) must not hold
up the node. The first Ctrl-C or SIGTERM asks the node to end in good order, each further one to hurry.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.cli import as_user_error
from reconciler.cli.event_lines import EventLines
from reconciler.cli.output import clean, has_colour, short_path
from reconciler.cli.welcome import welcome

if TYPE_CHECKING:
    import argparse

    from reconciler.port import NodeApi

_ENDED_EARLY = 130
_MOST_LINES = 10_000


def run(arguments: argparse.Namespace) -> int:
    """Until the node ends; its exit status."""
    # Importing makes objects that stay: looking for garbage among them only costs. The node turns it on.
    gc.disable()
    writer = LineWriter(1)
    try:
        return anyio.run(_Terminal(arguments, writer).run)
    except BaseExceptionGroup as group:
        raise as_user_error(group) from group
    finally:
        writer.close()


class LineWriter:
    """Writes lines to a descriptor without ever making the caller wait."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, daemon=True, name="terminal")
        self._thread.start()

    def write(self, line: str) -> None:
        """Sooner or later; lines that nobody has read for too long make newer ones be left out."""
        if self._lines.qsize() < _MOST_LINES:
            self._lines.put(line)

    def close(self) -> None:
        """Waits a moment for what is left."""
        self._lines.put(None)
        self._thread.join(1)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            data = (line + "\n").encode(errors="backslashreplace")
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                # Nobody reads any more; the node goes on, its log has the same.
                return


class _Terminal:
    """What a person sees of the node, and what their keys do to it."""

    def __init__(self, arguments: argparse.Namespace, writer: LineWriter) -> None:
        self._arguments = arguments
        self._writer = writer
        self._node: NodeApi | None = None

    async def run(self) -> int:
        from reconciler.up import run_node

        flags: dict[str, Any] = {}
        if self._arguments.port is not None:
            flags["port"] = self._arguments.port
        paths = [path.absolute() for path in self._arguments.paths]
        status = _ENDED_EARLY
        async with anyio.create_task_group() as group:
            await group.start(self._obey_signals, group.cancel_scope)
            status = await run_node(self._arguments.home, paths, flags, console=self._show)
            group.cancel_scope.cancel()
        return status

    async def _show(self, node: NodeApi) -> None:
        """The node's console: who it is, then what happens."""
        self._node = node
        lines = EventLines(colour=has_colour())
        with node.events.subscribe() as events:
            self._writer.write(_banner(node.status()["node"]))
            for line in await welcome(node, terminal=sys.stdout.isatty()):
                self._writer.write(line)
            for event in node.events.recent():
                self._writer.write(lines.line(event))
            async for event in events:
                self._writer.write(lines.line(event))

    async def _obey_signals(
        self, scope: anyio.CancelScope, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            times = 0
            async for number in received:
                times += 1
                if self._node is None or times > 2:
                    scope.cancel()
                    continue
                self._node.shut_down()
                again = "stops the services; Ctrl-C again ends them at once"
                if number == signal.SIGINT:
                    self._writer.write(again if times == 1 else "ends the services at once")


def _banner(about: dict[str, Any]) -> str:
    home = short_path(about["home"])
    return clean(f"atek {about['version']}: node {about['name']} on {about['address']}, home {home}")
