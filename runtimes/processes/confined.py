"""What is different about an instance in a sandbox: how it is started, signalled, and found to have ended.

    bwrap                 the instance's process: the node's child, leader of the session, outside
      └ bwrap             the first process inside: reaps, ends when nobody else is left
          └ program       whatever it forks stays inside, and ends with the first one

The session, the seal and the cgroup are inherited through all of them. Only signals are another matter: the
outer bwrap would die of one and take the program's status with it, so all but that one get it; and the status
is what bubblewrap wrote down, since its own exit says 128 + n for a signal and 1 for a mistake of its own.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runtimes.base import Exit
from runtimes.processes.children import TABLE
from runtimes.processes.leftovers import send
from runtimes.processes.ownership import Seen
from runtimes.processes.proc import is_second_of_namespace, pids, read_stat
from runtimes.sandbox import enter
from runtimes.sandbox.command import KEPT_CAPABILITIES
from runtimes.sandbox.enclosure import Guest, Sandboxes
from runtimes.sandbox.exit_status import Status, parse
from runtimes.sandbox.machine import Machine, own_capabilities, trial_environment
from runtimes.sandbox.seccomp import filter_for
from runtimes.sandbox.troubles import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtimes.base import Launch, Running
    from runtimes.network.inside import Inside
    from runtimes.paths import Paths
    from runtimes.preparer import Program
    from runtimes.processes.proc import Stat
    from runtimes.users.service_users import User

#: Seconds that a trial of this machine's sandboxes may take.
_LONGEST_TRIAL = 10.0
#: How often those are looked for that were forked while the others got a signal.
_ROUNDS = 10


def make_sandboxes(paths: Paths) -> Sandboxes:
    """Whose trials are processes of this node as any other."""
    return Sandboxes(paths, Machine(_try))


def _try(line: Sequence[str]) -> tuple[int, str]:
    return TABLE.ended(line, timeout=_LONGEST_TRIAL, env=trial_environment(), errors=subprocess.STDOUT)


def guest_of(
    launch: Launch, line: Sequence[str], environment: Mapping[str, str], program: Program,
    paths: Paths, files: Mapping[str, str], user: User | None, inside: Inside | None,
) -> Guest:  # fmt: skip
    """`files` are its secret ones, by their names; `user` is who it runs as, None for the node's own.

    `inside`: the network of a strict sandbox.
    """
    return Guest(
        service=launch.service.id,
        line=line,
        environment=environment,
        folder=program.cwd,
        search=program.path,
        data=paths.data(launch.service.id),
        sockets=paths.sockets(launch.instance),
        status=paths.exit_status(launch.instance),
        secrets=next((Path(path).parent for path in files.values()), None),
        user=None if user is None else (user.uid, user.gid),
        texts=inside.files if inside is not None else {},
    )


def signal_program(leader: int, number: int, status: Path) -> None:
    """To the group of `leader`, the outer bwrap, and the program's own, but not to that one itself.

    Where no program is executed yet there is nobody to hear it, and nothing to lose.
    """
    first = read_status(status).first
    told: set[tuple[int, int]] = set()
    for _ in range(_ROUNDS):
        found = [each for each in _members(leader, first) if (each.pid, each.start) not in told]
        if not found:
            break
        for each in found:
            send(Seen(each.pid, each.start, each.parent, each.group, each.session), number)
            told.add((each.pid, each.start))
    if not {pid for pid, _ in told} - {first}:
        # The first of two fatal signals is the one that is told.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(leader, number)
            os.killpg(leader, signal.SIGKILL)


def _members(leader: int, first: int | None) -> list[Stat]:
    stats = [stat for pid in pids() if pid != leader and (stat := read_stat(pid)) is not None]
    # Unlike a session's leader, the program may have left for a group of its own.
    groups = {
        leader,
        *(each.group for each in stats if each.parent == first and is_second_of_namespace(each.pid)),
    }
    return [each for each in stats if each.group in groups and not each.dead]


def inside(running: Running, words: Sequence[str], folder: str, status: Path) -> list[str]:
    """The line that runs a command in the sandbox of an instance. Raises OSError when there is none."""
    first = read_status(status).first
    if first is None:
        raise ProcessLookupError(errno.ESRCH, "its sandbox is not there yet")
    level: Literal["private", "strict"] = "strict" if running.sandbox == "strict" else "private"
    filter = filter_for(level, os.uname().machine) or b""
    kept = sum(1 << bit for bit in KEPT_CAPABILITIES.values()) & own_capabilities()
    # Only root's private programs are in no user namespace of their own.
    privileged = os.readlink(f"/proc/{first}/ns/user") == os.readlink("/proc/self/ns/user")
    spec = {
        "leader": running.pid, "first": first, "folder": folder, "filter": filter.hex(),
        "capabilities": kept if privileged else 0,
    }  # fmt: skip
    return [sys.executable, "-I", "-S", enter.__file__, json.dumps(spec), *words]


def read_status(file: Path) -> Status:
    """Nothing where nothing was written."""
    try:
        return parse(file.read_bytes())
    except OSError:
        return Status()


def exit_of(status: Status, code: int | None) -> Exit:
    """How an instance in a sandbox ended. `code`: bubblewrap's own, None where nobody could tell."""
    if status.code is not None:
        number = status.signal
        return Exit(signal=number) if number is not None else Exit(code=status.code)
    if code is None:
        return Exit()
    # Whatever ended bubblewrap ended the program.
    return Exit(signal=-code) if code < 0 else Exit(code=code, why=UNAVAILABLE)
