"""Which processes have to do with a folder, whoever started them and whatever they made of their environment.

A program may change its session, overwrite its environment and name, and let go of its parent; it hardly does
so and also closes its log, leaves its folders, and forgets its command line. This is the tests' own rule,
on purpose another one than the node's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runtimes.processes.proc import pids, read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def touching(folder: Path) -> dict[int, str]:
    """pid → command line of all living processes that touch it, but for the one that asks."""
    mark = os.fsencode(folder)
    found = {}
    for pid in pids():
        if pid != os.getpid() and any(mark in each for each in _traces(pid)) and _alive(pid):
            found[pid] = _command(pid)
    return found


def tree(pid: int) -> dict[int, int]:
    """pid → start time of a process and all its living descendants."""
    stats = [stat for each in pids() if (stat := read_stat(each)) and not stat.dead]
    members: dict[int, int] = {stat.pid: stat.start for stat in stats if stat.pid == pid}
    before = -1
    while before != len(members):
        before = len(members)
        members |= {stat.pid: stat.start for stat in stats if stat.parent in members}
    return members


def still_there(members: dict[int, int]) -> dict[int, str]:
    """Those of a tree that live, the same processes."""
    return {
        pid: _command(pid)
        for pid, start in members.items()
        if (stat := read_stat(pid)) and stat.start == start and not stat.dead
    }


def _traces(pid: int) -> Iterator[bytes]:
    """Whatever /proc tells of a process that could name a file; less where it has just ended."""
    place = f"/proc/{pid}"
    for name in ("environ", "cmdline"):
        try:
            with open(f"{place}/{name}", "rb") as file:
                yield file.read()
        except OSError:
            pass
    try:
        links = [f"{place}/{name}" for name in ("cwd", "exe")]
        links += [f"{place}/fd/{name}" for name in os.listdir(f"{place}/fd")]
    except OSError:
        return
    for link in links:
        try:
            yield os.fsencode(os.readlink(link))
        except OSError:
            pass


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.dead
