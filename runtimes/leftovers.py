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
        self._killed: set[int] = set()
        self._zombies: dict[int, float] = {}

    async def clear(self, running: Running, *, adopted: bool) -> None:
        """Returns once nothing of the instance is left, or after 10 s with what cannot be killed."""
        pause = FIRST_PAUSE
        with anyio.move_on_after(GIVE_UP, shield=True):
            while self._end(running, pids() if adopted else children()):
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

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
            if stat.session == running.pid or pid in self._killed:
                self._reap(pid)
            elif stat.parent == os.getpid():
                self._reap_if_unwanted(pid)
            return False
        if stat.session != running.pid and instance_of(pid, self._run) != running.instance:
            return False
        self._killed.add(pid)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        return True

    def _reap_if_unwanted(self, pid: int) -> None:
        """Whoever runs a tool waits for it; an orphan's zombie has nobody but us."""
        now = anyio.current_time()
        since = self._zombies.setdefault(pid, now)
        if now - since >= UNWANTED:
            self._reap(pid)

    def _reap(self, pid: int) -> None:
        self._killed.discard(pid)
        self._zombies.pop(pid, None)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
