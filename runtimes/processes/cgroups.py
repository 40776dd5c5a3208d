"""Limits by a cgroup of version 2 for each instance, below one that this node may write.

    …/atek.service/            delegated to the node: systemd's `Delegate=yes`, a container's own, or a scope
      node/                    the node itself, since a cgroup with controllers for others has no processes
      <instance>/              memory.max, memory.swap.max, memory.oom.group, cpu.max, pids.max

A node that somebody started in a terminal has no such cgroup, but its user's manager can make one: it is
asked, over its bus, for a scope with this very process in it (the same that `systemd-run --user --scope -p
Delegate=yes` asks for, without another program in between). The manager ends its scopes when the user has
logged out, unless the user lingers; so only then one is asked for. Instances outlive the node in their
cgroups, in the scope that they were started in: `adopt` finds them there.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runtimes.processes.enforcement import Enforcement
from runtimes.processes.limits import RlimitLimiter, limit_open_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from manifests.model.spec import Resources
    from runtimes.processes.limits import Limiter

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
#: cpu.max is a quota in microseconds for each period of 100 ms (cgroup-v2, "cpu.max").
CPU_PERIOD = 100_000
_LEAF = "node"
CONTROLLERS = ("memory", "cpu", "pids")
LINGER = Path("/var/lib/systemd/linger")
#: Seconds that the user's manager may take to make a scope, and between two looks whether it has.
_PATIENCE, _LOOK_AGAIN = 2.0, 0.01


class CgroupLimiter:
    """One cgroup per instance below the node's own. `available` are the controllers that were delegated."""

    def __init__(self, folder: Path, available: Sequence[str], root: Path = CGROUP_ROOT) -> None:
        self._folder = folder
        self._root = root
        self._available = available
        #: Of instances that an earlier life of the node started below another cgroup.
        self._elsewhere: dict[str, Path] = {}

    @property
    def enforcement(self) -> Enforcement:
        return Enforcement(
            memory="kernel" if "memory" in self._available else "sampling",
            cpu="kernel" if "cpu" in self._available else "",
            pids="kernel" if "pids" in self._available else "sampling",
            open_files="kernel",
        )

    def apply(self, instance: str, pid: int, limits: Resources, *, own: bool = True) -> Sequence[str]:
        group = self._folder / instance
        missing = limit_open_files(pid, limits)
        try:
            group.mkdir(exist_ok=True)
            # Limits first: what the process forks meanwhile comes along into a cgroup that has them.
            missing += self._set(group, limits)
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            return [*missing, f"limits are not enforced: {error}"]
        return missing

    def _set(self, group: Path, limits: Resources) -> list[str]:
        missing = []
        for controller, file, value in _settings(limits):
            if controller not in self._available:
                if controller == "cpu":
                    missing.append("cpu is not enforced: its cgroup controller is not delegated")
                continue
            try:
                (group / file).write_text(value)
            except OSError as error:
                missing.append(f"{controller} is not enforced: {error}")
        if limits.memory is not None and "memory" in self._available:
            # A limit that can be exceeded on disk makes a small machine stand still; half a program is none.
            for file, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                with suppress(OSError):
                    (group / file).write_text(value)
        return missing

    def join(self, instance: str, pid: int, limits: Resources) -> None:
        # An instance whose cgroup could not be made has no limits either.
        with suppress(OSError):
            (self._group(instance) / "cgroup.procs").write_text(str(pid))

    def adopt(self, instance: str, pid: int) -> None:
        group = self._root / _own_path(Path(f"/proc/{pid}/cgroup")).strip("/")
        if group.name == instance and group != self._folder / instance:
            self._elsewhere[instance] = group

    def _group(self, instance: str) -> Path:
        return self._elsewhere.get(instance, self._folder / instance)

    def members(self, instances: Collection[str]) -> Mapping[int, str]:
        members = {}
        for instance in instances:
            with suppress(OSError, ValueError):
                lines = (self._group(instance) / "cgroup.procs").read_text().split()
                members.update(dict.fromkeys(map(int, lines), instance))
        return members

    def out_of_memory(self, instance: str) -> bool:
        with suppress(OSError, ValueError):
            text = (self._group(instance) / "memory.events").read_text()
            counts = dict(line.split() for line in text.splitlines())
            return int(counts.get("oom_kill", 0)) > 0
        return False

    def kill(self, instance: str) -> None:
        with suppress(OSError):
            (self._group(instance) / "cgroup.kill").write_text("1")

    def remove(self, instance: str) -> None:
        with suppress(OSError):
            self._group(instance).rmdir()
        self._elsewhere.pop(instance, None)


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


def make_limiter(
    root: Path = CGROUP_ROOT,
    own: Path = OWN_CGROUP,
    *,
    take_over: bool = True,
    enter_scope: Callable[[], bool] = lambda: False,
) -> Limiter:
    """cgroups where they are delegated to this process, rlimits elsewhere.

    `enter_scope` may have it moved to where they are. Without `take_over` nothing is changed: the answer only
    says which it would be.
    """
    folder = _delegated(root, own)
    if folder is None and take_over and enter_scope():
        folder = _delegated(root, own)
    if folder is None:
        return RlimitLimiter()
    if not take_over:
        return CgroupLimiter(folder, _offered(folder), root)
    try:
        return CgroupLimiter(folder, _take_over(folder), root)
    except OSError:
        return RlimitLimiter()


def enter_user_scope(
    linger: Path = LINGER, own: Path = OWN_CGROUP, *, busctl: str = "busctl", name: str = ""
) -> bool:
    """Has this process moved into a scope of its user's manager; False where nobody does that."""
    user = name or _login_name()
    if not user or not (linger / user).exists() or os.geteuid() == 0:
        return False
    before = _own_path(own)
    try:
        subprocess.run(
            [busctl, "--user", "--timeout=2", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
             "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))",
             f"atek-{os.getpid()}.scope", "fail", "2", "PIDs", "au", "1", str(os.getpid()),
             "Delegate", "b", "true", "0"],
            check=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    deadline = time.monotonic() + _PATIENCE
    while _own_path(own) == before and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)
    return _own_path(own) != before


def _login_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def _own_path(own: Path) -> str:
    """Of version 2; `/` where there is none."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return "/"
    return next((line[3:] for line in lines if line.startswith("0::")), "/")


def _delegated(root: Path, own: Path) -> Path | None:
    """This process' cgroup, if it is one of v2, not the root, and ours to write."""
    path = _own_path(own)
    # What an earlier look has moved into the leaf is still in what was delegated.
    folder = root / path.strip("/").removesuffix(f"/{_LEAF}")
    mine = os.access(folder, os.W_OK) and os.access(folder / "cgroup.subtree_control", os.W_OK)
    return folder if path != "/" and mine else None


def _offered(folder: Path) -> list[str]:
    try:
        offered = (folder / "cgroup.controllers").read_text().split()
    except OSError:
        return []
    return [controller for controller in CONTROLLERS if controller in offered]


def _take_over(folder: Path) -> list[str]:
    """Moves the node into a leaf (a cgroup with controllers for its children has no processes itself)."""
    leaf = folder / _LEAF
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    available = _offered(folder)
    for controller in available:
        (folder / "cgroup.subtree_control").write_text(f"+{controller}")
    return available
