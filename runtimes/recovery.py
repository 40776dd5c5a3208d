"""What the next life of a node finds: which of its instances still run, and what has to be cleared away.

A record with a process id that lives and started at the recorded moment is that instance. An intent (a
record without process id, because the node died in between) is looked up by its mark. Everything else that
carries this node's mark belongs to nobody and is ended; unmarked processes are never touched.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from runtimes.base import Running
from runtimes.proc import instance_of, pids, read_stat, writes_to

if TYPE_CHECKING:
    from runtimes.paths import Paths
    from runtimes.proc import Stat
    from runtimes.records import Record, Records

#: Seconds that a process without a record has to end after SIGTERM.
GRACE = 5.0


async def recover(records: Records, paths: Paths, boot: str) -> list[Running]:
    """All instances that still run, after everything else of this node's was ended. Raises OSError."""
    marked = _marked(paths)
    kept: dict[str, Running] = {}
    for entry in records.entries():
        record = entry if not isinstance(entry, str) else None
        alive = _find(record, marked, paths, boot) if record else None
        if record is None or alive is None:
            records.remove(record.instance if record else str(entry))
            continue
        kept[record.instance] = alive
        if record.pid is None:
            _complete(records, record, alive)
    await _end([pid for pid, instance in marked.items() if instance not in kept])
    return list(kept.values())


def _marked(paths: Paths) -> dict[int, str]:
    """Every live process that carries a mark of this node, with the instance it names."""
    marked = {}
    for pid in pids():
        instance = instance_of(pid, paths.run) if pid != os.getpid() else None
        if instance is not None and (stat := read_stat(pid)) and not stat.dead:
            marked[pid] = instance
    return marked


def _find(record: Record, marked: dict[int, str], paths: Paths, boot: str) -> Running | None:
    if record.boot != boot:
        return None
    stat = _leader(record, marked, paths) if record.pid is None else read_stat(record.pid)
    if stat is None or stat.dead or (record.start is not None and stat.start != record.start):
        return None
    return Running(
        instance=record.instance,
        service=record.service,
        slot=record.slot,
        pid=stat.pid,
        endpoint=record.endpoint,
        started_at=record.started_at,
        unenforced=record.unenforced,
    )


def _leader(record: Record, marked: dict[int, str], paths: Paths) -> Stat | None:
    """The process of an intent: the leader of a session with its mark, or writing to its log."""
    log = paths.logs(record.service.id) / "service.log"
    for pid in pids():
        stat = read_stat(pid) if _leads(pid) else None
        if stat is None:
            continue
        mark = marked.get(pid)
        if mark == record.instance or (mark is None and writes_to(pid, log)):
            return stat
    return None


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def _complete(records: Records, record: Record, running: Running) -> None:
    stat = read_stat(running.pid)
    with suppress(OSError):
        records.write(replace(record, pid=running.pid, start=stat.start if stat else None))


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
