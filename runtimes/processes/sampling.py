"""Limits where no cgroup keeps to them: what an instance takes is looked at; beyond its limit it is ended.

    every second      how many threads the machine has (one small file): a fork bomb is seen at once
    every 5 seconds   who is of which instance (ownership.py), and what that takes

Nothing is looked at where nothing could be beyond its limit: no instance has one of memory, and the whole
machine has fewer threads than any may have. Memory is what each process has for itself and its share of what
it has with others (PSS), which the kernel adds up only when asked; so it is asked only where the sum of what
is resident, which is never less, is beyond the limit. What no process has mapped (files in /dev/shm) is
nobody's.

Memory may be beyond its limit at one look, unless by a quarter: programs that start take more for a moment.
The number of processes may not.
"""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from runtimes.processes.enforcement import SAMPLING_PERIOD
from runtimes.processes.leftovers import send
from runtimes.processes.limits import threads_of_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from manifests.model.service import Service
    from manifests.model.spec import Resources
    from runtimes.base import Running
    from runtimes.processes.limits import Limiter
    from runtimes.processes.ownership import Seen

#: The reasons of an exit: as Kubernetes calls the first.
OUT_OF_MEMORY, TOO_MANY = "OOMKilled", "PidsExceeded"
#: Seconds between two looks at how many threads there are, and how many more are worth a closer look.
GLANCE, MANY_MORE = 1.0, 500
#: How often those are looked for that were forked while the others were stopped.
_ROUNDS = 10
_LOOKS, _FAR_BEYOND = 2, 1.25
_PAGE = resource.getpagesize()
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all processes of an instance: bytes, and threads."""

    memory: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class Excess:
    """Why an instance is ended."""

    reason: str
    message: str


def exceeds(usage: Usage, limits: Resources, looks: int) -> Excess | None:
    """What is to be done about it. `looks`: at how many in a row, with this one, its memory was beyond."""
    if limits.pids is not None and usage.tasks > limits.pids:
        return Excess(TOO_MANY, f"it had {usage.tasks} processes and threads, and may have {limits.pids}")
    if limits.memory is not None and usage.memory > limits.memory:
        far = usage.memory > limits.memory * _FAR_BEYOND
        if far or looks >= _LOOKS:
            taken, allowed = usage.memory / _MIB, limits.memory / _MIB
            return Excess(OUT_OF_MEMORY, f"it took {taken:.0f} MiB of memory, and may have {allowed:.0f}")
    return None


class Handle(Protocol):
    """What is known of an instance."""

    @property
    def running(self) -> Running: ...

    @property
    def pidfd(self) -> int: ...

    excess: Excess | None


class Host(Protocol):
    """Who has the instances."""

    limiter: Limiter

    def limited(self) -> Sequence[Handle]:
        """Those that may be ended."""
        ...

    def limits_of(self, service: Service) -> Resources: ...

    def everybody(self, instances: Collection[str]) -> Mapping[str, Sequence[Seen]]:
        """The processes of each of these instances."""
        ...


class Sampler:
    """Of one host's instances. `threads` says how many the machine has."""

    def __init__(self, host: Host, threads: Callable[[], int] | None = None) -> None:
        self._host = host
        self._threads = threads or threads_of_machine
        self._beyond: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        known, looked = self._threads(), anyio.current_time()
        while True:
            await anyio.sleep(GLANCE)
            now, threads = anyio.current_time(), self._threads()
            if threads > known + MANY_MORE or now >= looked + SAMPLING_PERIOD:
                self.look(threads)
                looked, known = now, threads

    def look(self, threads: int) -> None:
        """Ends whoever takes too much."""
        limited = self._limited(threads)
        if not limited:
            self._beyond.clear()
            return
        members = self._host.everybody([handle.running.instance for handle, _ in limited])
        beyond = {}
        for handle, limits in limited:
            name = handle.running.instance
            mine = members.get(name, ())
            usage = usage_of(mine, limits)
            if limits.memory is not None and usage.memory > limits.memory:
                beyond[name] = self._beyond.get(name, 0) + 1
            if excess := exceeds(usage, limits, beyond.get(name, 0)):
                self._end(handle, excess)
        self._beyond = beyond

    def _end(self, handle: Handle, excess: Excess) -> None:
        """All of it at once: what takes too much is given no time for more.

        Everybody is stopped before anybody is ended: who is stopped forks no more while the others are found.
        """
        handle.excess = excess
        name = handle.running.instance
        self._host.limiter.kill(name)
        stopped: set[Seen] = set()
        for _ in range(_ROUNDS):
            found = set(self._host.everybody([name]).get(name, ()))
            if not found - stopped:
                break
            for process in found - stopped:
                send(process, signal.SIGSTOP)
            stopped |= found
        for process in stopped:
            send(process, signal.SIGKILL)

    def _limited(self, threads: int) -> list[tuple[Handle, Resources]]:
        """Those that could be beyond a limit that only sampling keeps to, each with these limits."""
        enforcement = self._host.limiter.enforcement
        found = []
        for handle in self._host.limited():
            wanted = self._host.limits_of(handle.running.service)
            few = wanted.pids is None or threads <= wanted.pids
            limits = wanted.model_copy(
                update={
                    "memory": wanted.memory if enforcement.memory == "sampling" else None,
                    "pids": None if few or enforcement.pids != "sampling" else wanted.pids,
                }
            )
            if not handle.excess and (limits.memory or limits.pids):
                found.append((handle, limits))
        return found


def usage_of(processes: Collection[Seen], limits: Resources) -> Usage:
    """As exactly as the limits need it."""
    tasks = sum(_tasks(each.pid) for each in processes) if limits.pids is not None else 0
    if limits.memory is None:
        return Usage(tasks=tasks)
    memory = sum(_resident(each.pid)[0] for each in processes)
    if memory > limits.memory:
        memory = sum(_proportional(each.pid) for each in processes)
    return Usage(memory, tasks)


def _resident(pid: int) -> tuple[int, int]:
    """All that is in memory of it, and what of that no other process can have (proc_pid_statm(5))."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0, 0
    return resident * _PAGE, (resident - shared) * _PAGE


def _proportional(pid: int) -> int:
    """Its own and its share of the rest; where nobody may ask that, its own."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            line = next(line for line in file if line.startswith(b"Pss:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return _resident(pid)[1]


def _tasks(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def by_instance(seen: Mapping[int, Seen], owners: Mapping[int, str]) -> dict[str, list[Seen]]:
    """Who is of which instance, without those that have ended."""
    found: dict[str, list[Seen]] = {}
    for pid, owner in owners.items():
        if owner and not seen[pid].dead:
            found.setdefault(owner, []).append(seen[pid])
    return found
