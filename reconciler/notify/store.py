"""The outbox on disk: `state/notify.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import orjson

from manifests.files import read_json, set_aside, write_atomically
from reconciler.notify.outbox import Message, Outbox, Queue

if TYPE_CHECKING:
    from pathlib import Path


class OutboxFile:
    """Read once, written whole."""

    def __init__(self, home: Path) -> None:
        self._file = home / "state" / "notify.json"

    def read(self) -> Outbox:
        """What is kept; a damaged file is moved aside."""
        try:
            value = read_json(self._file)
            return Outbox() if value is None else _outbox(value)
        except (ValueError, KeyError, TypeError, AttributeError):
            set_aside(self._file)
            return Outbox()

    async def write(self, outbox: Outbox) -> None:
        """Returns once it is on disk. Raises OSError."""
        data = orjson.dumps(asdict(outbox))
        await anyio.to_thread.run_sync(write_atomically, self._file, data)


def _outbox(value: dict[str, Any]) -> Outbox:
    queues = {
        key: Queue(tuple(Message(**message) for message in queue["messages"]), int(queue["dropped"]))
        for key, queue in value["queues"].items()
    }
    return Outbox(dict(value["known"]), dict(value["serving"]), queues)
