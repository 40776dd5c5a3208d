"""What the next life of a node finds: which of its instances still run, and what has to be cleared away.

A record whose process lives and started at the recorded moment is that instance, with all that belongs to it
(ownership.py). What else is this node's (a program started in the node's last millisecond, what a dead
instance left behind, a tool of a node that was killed) are strays. They are asked to end at once, but nobody
waits for them who does not have to: only a service that a stray may be of is not started until it is gone.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from runtimes.processes import leftovers, marks
from runtimes.processes.children import TABLE
from runtimes.processes.ownership import NOBODY, Family, owners, remember
from runtimes.processes.proc import pids, read_stat
from runtimes.processes.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runtimes.processes.limits import Limiter
    from runtimes.processes.ownership import Seen
    from runtimes.processes.records import Records
    from runtimes.processes.scan import Scanner

#: Seconds that a stray has to end after SIGTERM.
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """What there was: instances that run, records of those that do not, and what is nobody's."""

    kept: tuple[tuple[Record, Family], ...]
    dropped: tuple[Record, ...]
    strays: tuple[Seen, ...]


def recover(records: Records, scanner: Scanner, limiter: Limiter, boot: str) -> Found:
    """Looks at all records and all processes, and removes the records of what is gone. Raises OSError."""
    kept, dropped = [], []
    for entry in list(records.entries()):
        if isinstance(entry, Record) and _lives(entry, boot):
            kept.append(entry if entry.token else replace(entry, token=marks.token_of(entry.pid)))
        else:
            records.remove(entry.instance if isinstance(entry, Record) else entry)
            dropped += [entry] if isinstance(entry, Record) else []
    seen = scanner.scan(pids(), limiter.members([record.instance for record in (*kept, *dropped)]))
    families = [family_of(record) for record in kept]
    found = owners(
        seen, [*families, *_started_now()], node=os.getpid(), own_seal=TABLE.own_seal, subreaper=False
    )
    return Found(
        tuple((record, remember(family, seen, found)) for record, family in zip(kept, families, strict=True)),
        tuple(dropped),
        tuple(seen[pid] for pid, owner in found.items() if owner == NOBODY and not seen[pid].dead),
    )


def _started_now() -> list[Family]:
    """What this life has started already."""
    stats = ((name, read_stat(pid)) for pid, name in TABLE.names().items())
    return [Family(name, stat.pid, stat.start, TABLE.seal(name)) for name, stat in stats if stat]


def family_of(record: Record) -> Family:
    return Family(record.instance, record.pid, record.start, TABLE.seal(record.instance), record.service.id)


def _lives(record: Record, boot: str) -> bool:
    stat = read_stat(record.pid) if record.boot == boot else None
    return stat is not None and not stat.dead and stat.start == record.start


class Strays:
    """Those that were found and have not ended yet, each with the service that it is of, if that is known."""

    def __init__(self) -> None:
        self._of: dict[Seen, str] = {}
        self._deadline = 0.0

    def end(self, found: Found, look_again: Callable[[], Found]) -> None:
        """Asks them to end, and whoever they were just forking when they were looked at."""
        self._ask(found.strays, found.dropped)
        if found.strays:
            with suppress(OSError):
                self._ask(self._unknown(look_again().strays), found.dropped)

    def _unknown(self, strays: Collection[Seen]) -> list[Seen]:
        asked = {(each.pid, each.start) for each in self._of}
        return [each for each in strays if (each.pid, each.start) not in asked]

    def _ask(self, strays: Collection[Seen], dropped: Collection[Record]) -> None:
        services = {TABLE.seal(record.instance): record.service.id for record in dropped}
        services_by_name = {record.instance: record.service.id for record in dropped}
        for stray in strays:
            name = stray.cgroup or stray.named
            service = services.get(stray.seal) or services_by_name.get(name) or stray.log
            self._of[stray] = service
            leftovers.send(stray, signal.SIGTERM)
        self._deadline = anyio.current_time() + GRACE

    async def gone(self, service_id: str | None = None) -> None:
        """Returns when none is left that may be of this service, or of any; those that stay are killed."""
        for stray, service in list(self._of.items()):
            if service_id in (None, service) or not service:
                with anyio.CancelScope(deadline=self._deadline):
                    await leftovers.gone(stray)
                await leftovers.end_all(lambda stray=stray: _still(stray))  # type: ignore[misc]
                self._of.pop(stray, None)


def _still(stray: Seen) -> Collection[Seen]:
    stat = read_stat(stray.pid)
    return [stray] if stat is not None and stat.start == stray.start and not stat.dead else []
