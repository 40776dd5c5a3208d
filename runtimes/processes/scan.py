"""Looks at the processes of this machine and writes down what ownership.py decides by.

What costs more than a `stat` (the environment, the output's file) is looked at only where there is no seal.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtimes.processes import marks
from runtimes.processes.ownership import Seen
from runtimes.processes.proc import read_stat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: The kernel's own threads are children of this one (kthreadd).
_KERNEL = 2


@dataclass(frozen=True, slots=True)
class Scanner:
    """One node's way of looking: its run directory, and where its services' logs are."""

    run: Path
    log_root: Path

    def scan(self, pids: Iterable[int], cgroups: Mapping[int, str] | None = None) -> dict[int, Seen]:
        """Those of them that there are. `cgroups` says of which family's cgroup a process is."""
        node, logs = os.fspath(self.run), _Logs(self.log_root)
        seen = {}
        for pid in pids:
            stat = read_stat(pid)
            if stat is None or _KERNEL in (pid, stat.parent):
                continue
            seal = marks.seal_of(pid)
            sealed = marks.is_of_node(seal, node)
            look_closer = not sealed and not stat.dead
            seen[pid] = Seen(
                pid, stat.start, stat.parent, stat.group, stat.session, stat.dead,
                seal=seal if sealed else 0,
                cgroup=(cgroups or {}).get(pid, ""),
                named=(marks.instance_of(pid, self.run) or "") if look_closer else "",
                log=logs.service(pid) if look_closer else "",
            )  # fmt: skip
        return seen


class _Logs:
    """Which service a log is of; read when first asked."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._services: dict[tuple[int, int], str] | None = None

    def service(self, pid: int) -> str:
        file = marks.log_of(pid)
        if file is None:
            return ""
        if self._services is None:
            self._services = dict(_logs(self._root))
        return self._services.get(file, "")


def _logs(root: Path) -> Iterable[tuple[tuple[int, int], str]]:
    try:
        folders = list(os.scandir(root))
    except OSError:
        return
    for folder in folders:
        try:
            found = os.stat(os.path.join(folder.path, "service.log"))
        except OSError:
            continue
        yield (found.st_dev, found.st_ino), folder.name
