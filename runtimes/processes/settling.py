"""Who runs an instance, and what is theirs before it starts: folders, and a place for its socket.

Where everybody runs as the node's own user there is nothing to do.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtimes.processes.variables import SYSTEM_PATH
from runtimes.users.service_users import User, user_of_process

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from manifests.model.service import Service
    from manifests.model.spec import Resources
    from runtimes.base import Launch, Running
    from runtimes.paths import Paths
    from runtimes.users.handing_over import Left
    from runtimes.users.service_users import ServiceUsers


@dataclass(frozen=True, slots=True)
class Settled:
    """`user` is None for the node's own. `socket`: where the instance listens unless on a port."""

    socket: Path
    user: User | None = None
    notes: tuple[str, ...] = ()

    @property
    def owner(self) -> tuple[int, int] | None:
        return None if self.user is None else (self.user.uid, self.user.gid)

    @property
    def variables(self) -> Mapping[str, str]:
        return {} if self.user is None else self.user.variables

    @property
    def options(self) -> dict[str, Any]:
        """For the start of its process."""
        return {} if self.user is None else {**self.user.options, "unprivileged": True}


async def settle(
    users: ServiceUsers, paths: Paths, launch: Launch, copy: Path | None, others: Collection[Running]
) -> Settled:
    """`others`: what runs of the service. Raises RuntimeFailure or OSError."""
    service = launch.service
    user = users.of(service)
    if user is None:
        return Settled(paths.socket(launch.instance))
    beside = any(_runs_as_another(each.pid, user.uid) for each in others)
    left: Left = await users.take(service, user, copy, beside=beside)
    users.own_folder(paths.sockets(launch.instance), user)
    return Settled(paths.own_socket(launch.instance), user, (str(left),) if left else ())


def _runs_as_another(pid: int, uid: int) -> bool:
    with suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid != uid
    return False


def limited_line(line: list[str], service: Service, settled: Settled, limits: Resources) -> list[str]:
    """The words that start a program with its limits on, where it is another user's.

    From outside only CAP_SYS_RESOURCE could put them on, which root of a container has not. The number of
    processes is that of all instances of the user: the kernel counts them together (RLIMIT_NPROC).
    """
    user, tool = settled.user, shutil.which("prlimit", path=SYSTEM_PATH)
    if user is None or tool is None:
        return line
    # While one revision takes over from another, there is one instance more.
    most = limits.pids and limits.pids * (max(service.manifest.slots, 1) + 1)
    wanted = {
        "nproc": most if user.own else None, "nofile": limits.open_files, "data": limits.memory,
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in wanted.items() if value is not None]
    return [tool, *words, "--", *line] if words else line


def options_beside(running: Running) -> dict[str, Any]:
    """For a command that runs beside an instance: as whoever that runs. Raises OSError."""
    user = user_of_process(running.pid) if running.pid else None
    return Settled(running_socket(running), user).options


def running_socket(running: Running) -> Path:
    from pathlib import Path

    return Path(running.endpoint.socket or "")
