"""The node's memory of what happened: the last events in a ring, and live readers beside it.

Adding an event never waits. Each reader has a buffer of its own; when it is full the oldest event in it is
given up, so that a terminal that stands still costs its reader something and the node nothing.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from manifests.model.base import printable
from reconciler.decide.event import EventRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

KEPT = 1000
READER_BUFFER = 1000


class EventLog:
    """Implements `reconciler.decide.event.Events`; the node adds, everyone else reads."""

    def __init__(
        self, *, kept: int = KEPT, reader_buffer: int = READER_BUFFER, wall: Callable[[], float] = time.time
    ) -> None:
        self._wall = wall
        self._ring: deque[EventRecord] = deque(maxlen=kept)
        self._reader_buffer = reader_buffer
        self._readers: list[_Reader] = []

    def emit(
        self, service: str, reason: str, message: str, instance: str = "", *, warning: bool = False
    ) -> None:
        """Adds an event that happens now; `service` is empty for the node itself."""
        self.add(EventRecord(self._wall(), service, reason, printable(message), instance, warning))

    def add(self, event: EventRecord) -> None:
        """Remembers an event and hands it to every reader, without waiting for any."""
        self._ring.append(event)
        for reader in self._readers:
            reader.push(event)

    def recent(self, limit: int = 200) -> Sequence[EventRecord]:
        """The last `limit` events, the oldest first."""
        events = list(self._ring)
        return events[-limit:] if limit > 0 else []

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[EventRecord]]:
        """Events from now on. The iterator ends when the context does."""
        reader = _Reader(self._reader_buffer)
        self._readers.append(reader)
        try:
            yield reader
        finally:
            self._readers.remove(reader)
            reader.close()


class _Reader:
    """One reader's buffer; an async iterator for a single task."""

    __slots__ = ("_buffer", "_closed", "_wake")

    def __init__(self, size: int) -> None:
        self._buffer: deque[EventRecord] = deque(maxlen=size)
        self._closed = False
        self._wake: anyio.Event | None = None

    def push(self, event: EventRecord) -> None:
        self._buffer.append(event)
        self._notify()

    def close(self) -> None:
        self._closed = True
        self._notify()

    def _notify(self) -> None:
        # Only a reader that waits has an Event: with nobody waiting, a push costs one append.
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def __aiter__(self) -> _Reader:
        return self

    async def __anext__(self) -> EventRecord:
        while not self._buffer:
            if self._closed:
                raise StopAsyncIteration
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._buffer.popleft()
