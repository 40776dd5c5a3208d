"""A small file per instance, so that the next life of the node finds what this one started.

It is written before the program starts (the intent) and again with the process id after it. Whatever the
moment of a kill -9, either the record or the mark in the program's environment leads back to it. Records
mean nothing after a reboot and carry the boot's id; so they need no fsync.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from manifests.files import write_atomically
from manifests.service import Service
from runtimes.base import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One instance. `pid` and `start` (clock ticks since boot) are None in an intent."""

    instance: str
    service: Service
    slot: int
    endpoint: Endpoint
    boot: str
    started_at: float
    pid: int | None = None
    start: int | None = None
    unenforced: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        endpoint = self.endpoint
        return {
            "instance": self.instance,
            "service": self.service.to_json(),
            "slot": self.slot,
            "endpoint": [endpoint.socket, endpoint.host, endpoint.port],
            "boot": self.boot,
            "startedAt": self.started_at,
            "pid": self.pid,
            "start": self.start,
            "unenforced": list(self.unenforced),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Record:
        """Raises ValueError, KeyError or TypeError for anything that `to_json` did not make."""
        return cls(
            instance=value["instance"],
            service=Service.from_json(value["service"]),
            slot=int(value["slot"]),
            endpoint=Endpoint(*value["endpoint"]),
            boot=value["boot"],
            started_at=float(value["startedAt"]),
            pid=value["pid"],
            start=value["start"],
            unenforced=tuple(value["unenforced"]),
        )


class Records:
    """The folder of all records of one node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, record: Record) -> None:
        """Raises OSError (a full disk)."""
        write_atomically(self._file(record.instance), orjson.dumps(record.to_json()), durable=False)

    def remove(self, instance: str) -> None:
        self._file(instance).unlink(missing_ok=True)

    def read(self) -> Iterator[Record]:
        """All that can be read. Raises OSError when the folder cannot."""
        for record in self.entries():
            if isinstance(record, Record):
                yield record

    def entries(self) -> Iterator[Record | str]:
        """Each record; for a damaged one the name of its instance."""
        for file in sorted(self._folder.iterdir()):
            if file.suffix != ".json" or file.name.startswith("."):
                continue
            try:
                yield Record.from_json(orjson.loads(file.read_bytes()))
            except (ValueError, KeyError, TypeError, AttributeError):
                yield file.stem

    def _file(self, instance: str) -> Path:
        return self._folder / f"{instance}.json"
