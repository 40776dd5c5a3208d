"""Brings what containers print to where the output of every service is, so that `atek logs` shows it.

The engine keeps the output meanwhile; so a node that dies neither stalls nor kills a container, and the next
life goes on where the last one wrote down that it was. Lines are known by the engine's moment of each, which
several share: the pieces of a long line do, and with Podman all lines of a second.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import anyio

from runtimes.base import RuntimeUnavailable
from runtimes.docker.failures import EngineAnswer
from runtimes.docker.streams import Demultiplexer

if TYPE_CHECKING:
    from pathlib import Path

    from runtimes.docker.engine import Engine
    from runtimes.docker.handles import Handle

#: Seconds until a stream that broke is opened again.
AGAIN = 1.0
#: Seconds that the last output of a container may take when the node ends right after it.
LAST_WORDS = 5.0
# 2026-01-31T12:00:00.123456789Z is at most this long, with an offset instead of Z.
_LONGEST_TIME = 40
# A moment and a number of lines.
_LONGEST_POSITION = 60


@dataclass(slots=True)
class Position:
    """How far a container's output was copied: `lines` of those of the last `moment`, as `since` has it."""

    moment: str = "0"
    lines: int = 0

    def advance(self, moment: str) -> None:
        """Past one more line; those of two streams are not always in the order of their moments."""
        if moment == self.moment:
            self.lines += 1
        elif moment > self.moment:
            self.moment, self.lines = moment, 1

    def covers(self, other: Position) -> bool:
        """Whether it is at least as far, within one moment."""
        return self.moment == other.moment and self.lines >= other.lines


class LogCopier:
    """Copies the output of one node's containers. `positions` is a folder for the moments reached.

    `kind`: what the engine's ids are of, `containers` or `services` (of a swarm).
    """

    def __init__(self, engine: Engine, positions: Path, kind: str = "containers") -> None:
        self._engine = engine
        self._positions = positions
        self._kind = kind

    async def copy(self, handle: Handle, log: Path) -> None:
        """Until the container has ended and all of its output is there, also when the node ends meanwhile."""
        try:
            await self._copy(handle, log)
        except anyio.get_cancelled_exc_class():
            if handle.died.is_set():
                await self._last_words(handle, log)
            raise
        finally:
            handle.logged.set()

    async def _last_words(self, handle: Handle, log: Path) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_WORDS), suppress(RuntimeUnavailable):
            await self._follow(handle, log)

    async def _copy(self, handle: Handle, log: Path) -> None:
        while True:
            ended = handle.died.is_set()
            with suppress(RuntimeUnavailable):
                if await self._follow(handle, log) or ended:
                    return
            await anyio.sleep(AGAIN)

    def forget(self, instance: str) -> None:
        """The container is gone, and its output with it."""
        with suppress(OSError):
            self._position(instance).unlink(missing_ok=True)

    async def _follow(self, handle: Handle, log: Path) -> bool:
        """Whether there cannot be any more output."""
        known, here = self._reached(handle.instance), Position()
        query = {"follow": True, "stdout": True, "stderr": True, "timestamps": True, "since": known.moment}
        frames = Demultiplexer()
        try:
            path = f"/{self._kind}/{handle.container}/logs"
            async with self._engine.stream("GET", path, query=query) as chunks:
                async for chunk in chunks:
                    new = []
                    for moment, line in (split(data) for _, data in frames.feed(chunk)):
                        here.advance(since(moment))
                        if not known.covers(here):
                            new.append(line)
                    if new:
                        handle.hear_output(b"".join(new))
                        _append(log, b"".join(new))
                        self._keep(handle.instance, here)
        except EngineAnswer as answer:
            return answer.missing or answer.conflict
        return handle.died.is_set()

    def _reached(self, instance: str) -> Position:
        try:
            moment, lines = self._position(instance).read_text("ascii").split()
            return Position(moment, int(lines))
        except (OSError, ValueError):
            return Position()

    def _keep(self, instance: str, reached: Position) -> None:
        """Always of one length, and written over: there is never half of one, or none."""
        text = f"{reached.moment} {reached.lines}".ljust(_LONGEST_POSITION).encode("ascii")
        with suppress(OSError):
            _write(self._position(instance), text, os.O_CREAT)

    def _position(self, instance: str) -> Path:
        return self._positions / instance


def split(data: bytes) -> tuple[bytes, bytes]:
    """The moment that the engine wrote before each line, and the line."""
    moment, space, line = data.partition(b" ")
    return (moment, line) if space and len(moment) <= _LONGEST_TIME else (b"", data)


def since(moment: bytes) -> str:
    """What the engine takes for a moment: seconds since 1970 with nine digits behind the point."""
    text = moment.decode("ascii", "replace")
    whole, point, rest = text.partition(".")
    digits = rest.rstrip("Z").split("+")[0].split("-")[0] if point else ""
    zone = "Z" if text.endswith("Z") or not rest else rest[len(digits) :]
    try:
        seconds = int(datetime.fromisoformat(whole.removesuffix("Z") + zone).timestamp())
    except ValueError:
        return "0"
    return f"{seconds}.{digits.ljust(9, '0')[:9]}"


def _append(log: Path, data: bytes) -> None:
    """A full disk costs output, and nothing else: it is the same for every service."""
    with suppress(OSError):
        _write(log, data, os.O_CREAT | os.O_APPEND)


def _write(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
