"""What the next life of a node finds: which of its instances still run, and what has to be cleared away.

A record whose process lives and started at the recorded moment is that instance. Everything else that carries
this node's mark (a program started in the node's last millisecond, what a dead instance left behind) belongs
to nobody and is ended; unmarked processes are never touched.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from runtimes.proc import instance_of, pids, read_stat, token_of, writes_below
from runtimes.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.paths import Paths
    from runtimes.records import Records

#: Seconds that a process without a record has to end after SIGTERM.
GRACE = 5.0


async def recover(records: Records, paths: Paths, boot: str) -> list[Record]:
    """All instances that still run, after everything else of this node's was ended. Raises OSError."""
    marked = _marked(paths)
    kept: dict[str, Record] = {}
    for entry in list(records.entries()):
        if isinstance(entry, Record) and _lives(entry, boot):
            kept[entry.instance] = entry if entry.token else replace(entry, token=token_of(entry.pid))
        else:
            records.remove(entry.instance if isinstance(entry, Record) else entry)
    families = {record.pid for record in kept.values()}
    await _end([pid for pid, instance in marked.items() if not _belongs(pid, instance, kept, families)])
    return list(kept.values())


def _marked(paths: Paths) -> dict[int, str]:
    """Every live process that carries a mark of this node, with the instance it names.

    A program may overwrite its environment (to change its title); that its output goes to one of this node's
    logs is the second mark. It names no instance.
    """
    marked = {}
    for pid in pids():
        instance = instance_of(pid, paths.run)
        if instance is None and writes_below(pid, paths.log_root):
            instance = ""
        if instance is not None and pid != os.getpid() and _is_alive(pid):
            marked[pid] = instance
    return marked


def _belongs(pid: int, instance: str, kept: Mapping[str, Record], leaders: set[int]) -> bool:
    """Whether a marked process is part of an instance that lives on."""
    if instance in kept or pid in leaders:
        return True
    stat = read_stat(pid) if not instance else None
    return stat is not None and stat.session in leaders


def _is_alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.dead


def _lives(record: Record, boot: str) -> bool:
    stat = read_stat(record.pid) if record.boot == boot else None
    return stat is not None and not stat.dead and stat.start == record.start


async def _end(orphans: list[int]) -> None:
    """SIGTERM, and SIGKILL to what is left after a while."""
    deadline = time.monotonic() + GRACE
    number = signal.SIGTERM
    while orphans:
        if time.monotonic() >= deadline:
            number = signal.SIGKILL
        for pid in orphans:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        await anyio.sleep(0.01)
        stats = ((pid, read_stat(pid)) for pid in orphans)
        orphans = [pid for pid, stat in stats if stat is not None and not stat.dead]
        if number is signal.SIGKILL and time.monotonic() >= deadline + GRACE:
            return
