"""A small file per instance, so that the next life of the node finds what this one started.

It is written once, right after the start. A node killed before or while that happens leaves a program whose
mark nobody has a record of, and that is how the next life knows it for a stray. Records mean nothing after a
reboot and carry the boot's id; so they need neither fsync nor rename.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from manifests.model.service import Service
from runtimes.base import Endpoint
from runtimes.paths import EXIT_STATUS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RECORD = ".json"


@dataclass(frozen=True, slots=True)
class Record:
    """One instance. `start` is in clock ticks since boot; with the pid it names one process for good.

    `token` is empty in records that were written before tokens changed with each life of a node,
    `router_token` in those of before the router had one for each instance, and
    `log_start`, the size that the service's log had at the start, is -1 in those of before it was kept. What
    was started before there were sandboxes is in none.
    """

    instance: str
    service: Service
    slot: int
    endpoint: Endpoint
    boot: str
    started_at: float
    pid: int
    start: int
    unenforced: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    log_start: int = -1
    router_token: str = field(default="", repr=False)
    sandbox: str = "none"
    unconfined: str = ""

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
            "token": self.token,
            "logStart": self.log_start,
            "routerToken": self.router_token,
            "sandbox": self.sandbox,
            "unconfined": self.unconfined,
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
            pid=int(value["pid"]),
            start=int(value["start"]),
            unenforced=tuple(value["unenforced"]),
            token=str(value.get("token", "")),
            log_start=int(value.get("logStart", -1)),
            router_token=str(value.get("routerToken", "")),
            sandbox=str(value.get("sandbox", "none")),
            unconfined=str(value.get("unconfined", "")),
        )


class Records:
    """The folder of all records of one node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, record: Record) -> None:
        """Raises OSError (a full disk)."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(self._file(record.instance), flags, 0o600)
        try:
            os.write(descriptor, orjson.dumps(record.to_json()))
        finally:
            os.close(descriptor)

    def remove(self, instance: str) -> None:
        """One that cannot be removed now is the record of a dead process, and the next life sees that."""
        with suppress(OSError):
            self._file(instance).unlink(missing_ok=True)

    def read(self) -> Iterator[Record]:
        """All that can be read. Raises OSError when the folder cannot."""
        for record in self.entries():
            if isinstance(record, Record):
                yield record

    def entries(self) -> Iterator[Record | str]:
        """Each record; for a damaged one the name of its instance."""
        for file in sorted(self._folder.iterdir()):
            if file.suffix != _RECORD or file.name.startswith("."):
                continue
            try:
                yield Record.from_json(orjson.loads(file.read_bytes()))
            except (ValueError, KeyError, TypeError, AttributeError):
                yield file.stem

    def unrecorded(self) -> list[str]:
        """Instances of which there is only how a sandbox ended: a node was killed before it wrote more."""
        files = list(self._folder.iterdir())
        recorded = {file.stem for file in files if file.suffix == _RECORD}
        return [file.stem for file in files if file.suffix == EXIT_STATUS and file.stem not in recorded]

    def _file(self, instance: str) -> Path:
        return self._folder / f"{instance}{_RECORD}"
