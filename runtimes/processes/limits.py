"""Upper limits for an instance: memory, cpu, number of processes, as far as the machine allows.

With a delegated cgroup v2 (systemd's `Delegate=yes`, or a container's own) all three hold for everything the
instance forks. Without one, memory is limited per process by RLIMIT_DATA (not RLIMIT_AS: V8 and Go reserve
address space that they never use), and the rest is reported as not enforced, never silently dropped.
(Containers have theirs from the engine: `docker.spec` and `docker.swarm_spec` ask for them.)
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.model.spec import Resources

CGROUP_ROOT = Path("/sys/fs/cgroup")
#: cpu.max is a quota in microseconds for each period of 100 ms (cgroup-v2, "cpu.max").
CPU_PERIOD = 100_000
CONTROLLERS = ("memory", "cpu", "pids")


class Limiter(Protocol):
    """Applies limits to a process that was started just now."""

    def apply(self, instance: str, pid: int, limits: Resources) -> Sequence[str]:
        """Returns a sentence for each limit that could not be enforced."""
        ...

    def join(self, instance: str, pid: int, limits: Resources) -> None:
        """The same limits for a process that was started beside the instance (a probe)."""
        ...

    def members(self, instances: Collection[str]) -> Mapping[int, str]:
        """Every process that the mechanism keeps with one of these instances, and with which one."""
        ...

    def kill(self, instance: str) -> None:
        """Ends every process of the instance, where the mechanism can."""
        ...

    def remove(self, instance: str) -> None:
        """Forgets an instance that has ended."""
        ...


class RlimitLimiter:
    """What an ordinary user can do everywhere."""

    def apply(self, instance: str, pid: int, limits: Resources) -> Sequence[str]:
        missing = []
        if limits.memory is not None:
            try:
                resource.prlimit(pid, resource.RLIMIT_DATA, (limits.memory, limits.memory))
                missing.append("memory is limited for each process by itself, not for all together")
            except (OSError, ValueError, OverflowError) as error:
                missing.append(f"memory is not limited: {error}")
        if limits.cpu is not None:
            missing.append(f"cpu {limits.cpu:g} is not enforced")
        if limits.pids is not None:
            missing.append(f"pids {limits.pids} is not enforced")
        if missing:
            missing.append("this node has no cgroup v2 of its own (under systemd: Delegate=yes)")
        return missing

    def join(self, instance: str, pid: int, limits: Resources) -> None:
        self.apply(instance, pid, limits)

    def members(self, instances: Collection[str]) -> Mapping[int, str]:
        """Limits do not tell whose a process is."""
        return {}

    def kill(self, instance: str) -> None:
        """The process group is all there is."""

    def remove(self, instance: str) -> None:
        """Limits end with the process."""


class CgroupLimiter:
    """One cgroup per instance below the node's own. `available` are the controllers that were delegated."""

    def __init__(self, folder: Path, available: Sequence[str]) -> None:
        self._folder = folder
        self._available = available

    def apply(self, instance: str, pid: int, limits: Resources) -> Sequence[str]:
        group = self._folder / instance
        missing: list[str] = []
        try:
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            return [f"limits are not enforced: {error}"]
        for controller, file, value in _settings(limits):
            if controller not in self._available:
                missing.append(f"{controller} is not enforced: its cgroup controller is not delegated")
                continue
            try:
                (group / file).write_text(value)
            except OSError as error:
                missing.append(f"{controller} is not enforced: {error}")
        return missing

    def join(self, instance: str, pid: int, limits: Resources) -> None:
        # An instance whose cgroup could not be made has no limits either.
        with suppress(OSError):
            (self._folder / instance / "cgroup.procs").write_text(str(pid))

    def members(self, instances: Collection[str]) -> Mapping[int, str]:
        members = {}
        for instance in instances:
            with suppress(OSError, ValueError):
                lines = (self._folder / instance / "cgroup.procs").read_text().split()
                members.update(dict.fromkeys(map(int, lines), instance))
        return members

    def kill(self, instance: str) -> None:
        with suppress(OSError):
            (self._folder / instance / "cgroup.kill").write_text("1")

    def remove(self, instance: str) -> None:
        with suppress(OSError):
            (self._folder / instance).rmdir()


def _settings(limits: Resources) -> list[tuple[str, str, str]]:
    """Controller, file and value for each limit that is set."""
    settings = []
    if limits.memory is not None:
        settings.append(("memory", "memory.max", str(limits.memory)))
    if limits.cpu is not None:
        settings.append(("cpu", "cpu.max", f"{max(1000, int(limits.cpu * CPU_PERIOD))} {CPU_PERIOD}"))
    if limits.pids is not None:
        settings.append(("pids", "pids.max", str(limits.pids)))
    return settings


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


def make_limiter(
    root: Path = CGROUP_ROOT, own: Path = Path("/proc/self/cgroup"), *, take_over: bool = True
) -> Limiter:
    """cgroups where they are delegated to this process, rlimits elsewhere.

    Without `take_over` nothing is changed: the answer only says which it would be.
    """
    folder = _delegated(root, own)
    if folder is None:
        return RlimitLimiter()
    if not take_over:
        return CgroupLimiter(folder, ())
    try:
        return CgroupLimiter(folder, _take_over(folder))
    except OSError:
        return RlimitLimiter()


def _delegated(root: Path, own: Path) -> Path | None:
    """This process' cgroup, if it is one of v2, not the root, and ours to write."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = root / path.strip("/")
    mine = os.access(folder, os.W_OK) and os.access(folder / "cgroup.subtree_control", os.W_OK)
    return folder if path != "/" and mine else None


def _take_over(folder: Path) -> list[str]:
    """Moves the node into a leaf (a cgroup with controllers for its children has no processes itself)."""
    leaf = folder / "node"
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    offered = (folder / "cgroup.controllers").read_text().split()
    available = [controller for controller in CONTROLLERS if controller in offered]
    for controller in available:
        (folder / "cgroup.subtree_control").write_text(f"+{controller}")
    return available
