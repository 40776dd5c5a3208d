"""Upper limits for an instance: memory, cpu, processes, open files, as far as the machine allows.

With a delegated cgroup v2 (cgroups.py) memory, cpu and processes hold for everything the instance forks: the
kernel sees to it. Without one, memory and processes are looked at again and again (sampling.py), memory is
limited for each process besides by RLIMIT_DATA (not RLIMIT_AS: V8 and Go reserve address space that they
never use), and cpu is reported as not enforced, never silently dropped. Open files are always a limit of each
process (RLIMIT_NOFILE).
(Containers have theirs from the engine: `docker.spec` and `docker.swarm_spec` ask for them.)
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from runtimes.processes.enforcement import Enforcement

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.model.spec import Resources

#: Processes and threads that a user may start besides, while a service runs.
ROOM_FOR_OTHERS = 8192


class Limiter(Protocol):
    """Applies limits to a process that was started just now."""

    @property
    def enforcement(self) -> Enforcement:
        """How each limit is kept to."""
        ...

    def apply(self, instance: str, pid: int, limits: Resources, *, own: bool = True) -> Sequence[str]:
        """Returns a sentence for each limit that could not be enforced.

        `own`: the process is of the node's own user, and was started without any limits.
        """
        ...

    def join(self, instance: str, pid: int, limits: Resources) -> None:
        """The same limits for a process that was started beside the instance (a probe)."""
        ...

    def adopt(self, instance: str, pid: int) -> None:
        """An instance of an earlier life of the node may be kept elsewhere than one would be today."""
        ...

    def members(self, instances: Collection[str]) -> Mapping[int, str]:
        """Every process that the mechanism keeps with one of these instances, and with which one."""
        ...

    def out_of_memory(self, instance: str) -> bool:
        """Whether the kernel has ended any of its processes for taking more than it may."""
        ...

    def kill(self, instance: str) -> None:
        """Ends every process of the instance, where the mechanism can."""
        ...

    def remove(self, instance: str) -> None:
        """Forgets an instance that has ended."""
        ...


class RlimitLimiter:
    """What an ordinary user can do everywhere."""

    enforcement = Enforcement(memory="sampling", pids="sampling", open_files="kernel")

    def apply(self, instance: str, pid: int, limits: Resources, *, own: bool = True) -> Sequence[str]:
        missing = limit_open_files(pid, limits)
        if limits.memory is not None and own:
            try:
                resource.prlimit(pid, resource.RLIMIT_DATA, (limits.memory, limits.memory))
            except (OSError, ValueError, OverflowError) as error:
                missing.append(f"memory is not limited: {error}")
        if limits.pids is not None and os.geteuid() != 0:
            _bound_bombs(pid, limits.pids)
        if limits.cpu is not None:
            missing.append(f"cpu {limits.cpu:g} is not enforced")
            missing.append("this node has no cgroup v2 of its own (under systemd: Delegate=yes)")
        return missing

    def join(self, instance: str, pid: int, limits: Resources) -> None:
        self.apply(instance, pid, limits)

    def adopt(self, instance: str, pid: int) -> None:
        """Its limits are its processes' own."""

    def members(self, instances: Collection[str]) -> Mapping[int, str]:
        """Limits do not tell whose a process is."""
        return {}

    def out_of_memory(self, instance: str) -> bool:
        """Only sampling could have done it, and knows."""
        return False

    def kill(self, instance: str) -> None:
        """The process group is all there is."""

    def remove(self, instance: str) -> None:
        """Limits end with the process."""


def _bound_bombs(pid: int, processes: int) -> None:
    """A fork bomb comes to an end by itself before it is looked at: who cannot fork can be ended.

    The kernel counts all processes of the user (RLIMIT_NPROC), so there has to be room for all others.
    """
    with suppress(OSError, ValueError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
        most = threads_of_machine() + max(processes, ROOM_FOR_OTHERS)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (most if hard < 0 else min(most, hard), hard))


def threads_of_machine() -> int:
    """As /proc/loadavg has it: `0.20 0.18 0.12 1/80 11206`."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[3].partition("/")[2])


def limit_open_files(pid: int, limits: Resources) -> list[str]:
    """No controller has these. Returns a sentence where there are fewer than were asked for."""
    if limits.open_files is None:
        return []
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = limits.open_files if hard == resource.RLIM_INFINITY else min(limits.open_files, hard)
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
        except (PermissionError, ValueError):
            # More than this node may have itself: as many as that is.
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
            return [f"openFiles is {most}: this node may not give more (ulimit -Hn, or LimitNOFILE=)"]
    except (OSError, ValueError) as error:
        return [f"openFiles is not limited: {error}"]
    return []


def forbid_core_dumps() -> int:
    """None of this process, which decrypts secrets, nor of what it starts. Returns the limit of before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    return soft


def allow_core_dumps(pid: int, limit: int) -> None:
    """A program that was given no secrets may have those that this node was started with."""
    if limit:
        with suppress(OSError, ValueError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_CORE)
            resource.prlimit(pid, resource.RLIMIT_CORE, (limit, hard))
