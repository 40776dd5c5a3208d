"""Ends what an instance leaves behind: helpers it forked, and daemons that escaped its process group.

The node is a subreaper: an orphaned descendant of a service becomes the node's own child. So one look at the
list of children finds every escapee of a service that this life of the node started. For an adopted service
all processes are searched for its mark.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from runtimes.proc import children, instance_of, pids, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runtimes.base import Running
    from runtimes.proc import Stat

#: First and longest pause between two looks, seconds; killed processes need a moment to end.
FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.1
#: Seconds after which what cannot be killed (uninterruptible sleep) is left to the kernel.
GIVE_UP = 10.0
#: A zombie that nobody waited for in this long has no other parent who would.
UNWANTED = 5.0


class Leftovers:
    """Finds and ends them. `is_leader` knows the processes that others wait for."""

    def __init__(self, run: Path, is_leader: Callable[[int], bool]) -> None:
        self._run = run
        self._is_leader = is_leader
        #: Start and instance of what was killed: while it ends it has lost its mark, and numbers are reused.
        self._killed: dict[int, tuple[int, str]] = {}
        self._zombies: dict[int, float] = {}

    async def clear(self, running: Running, *, adopted: bool) -> None:
        """Returns once nothing of the instance is left, or after 10 s with what cannot be killed."""
        pause = FIRST_PAUSE
        with anyio.move_on_after(GIVE_UP, shield=True):
            while self._end(running, pids() if adopted else children()):
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            self._killed = {pid: mark for pid, mark in self._killed.items() if mark[1] != running.instance}

    def _end(self, running: Running, candidates: Iterable[int]) -> bool:
        """Kills and reaps once; whether something was found that may take a moment to go."""
        found = False
        for pid in candidates:
            if not self._is_leader(pid):
                found |= self._end_one(running, pid)
        return found

    def _end_one(self, running: Running, pid: int) -> bool:
        stat = read_stat(pid)
        if stat is None:
            return False
        if stat.dead:
            if stat.session == running.pid or self._was_killed(stat):
                self._reap(pid)
            elif stat.parent == os.getpid():
                self._reap_if_unwanted(pid)
            return False
        if not self._belongs(stat, running):
            return False
        self._killed[pid] = (stat.start, running.instance)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        return True

    def _belongs(self, stat: Stat, running: Running) -> bool:
        return (
            stat.session == running.pid
            or self._killed.get(stat.pid) == (stat.start, running.instance)
            or instance_of(stat.pid, self._run) == running.instance
        )

    def _was_killed(self, stat: Stat) -> bool:
        killed = self._killed.get(stat.pid)
        return killed is not None and killed[0] == stat.start

    def _reap_if_unwanted(self, pid: int) -> None:
        """Whoever runs a tool waits for it; an orphan's zombie has nobody but us."""
        now = anyio.current_time()
        since = self._zombies.setdefault(pid, now)
        if now - since >= UNWANTED:
            self._reap(pid)

    def _reap(self, pid: int) -> None:
        self._killed.pop(pid, None)
        self._zombies.pop(pid, None)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
