"""What tells whose a process is, whatever it does to itself: marks that are inherited by all it forks.

The *seal* is a number of 63 bits, half of it the node's, half the instance's. It stands in a resource limit
that means nothing: RLIMIT_LOCKS has had no effect since Linux 2.4.25 (setrlimit(2)), every fork and exec
hands it on, and nobody has a reason to set it. So it is still there after `setsid`, `env -i`, closed
descriptors, a changed title and a second fork, where everything else that tells processes apart is gone. The
node sets its own soft limit for the moment of a start, so that no instruction of a program runs without it;
at all other times that limit names the node itself. (PAM's `su` resets limits: ownership.py has what else
there is.)

The environment is the older mark: the socket's path in it names node and instance. Programs may overwrite it.
"""

from __future__ import annotations

import hashlib
import os
import resource
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from runtimes.processes.variables import SOCKET_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Not in the `resource` module. The number is the same on every architecture but alpha, mips and sparc.
_RLIMIT_LOCKS = 10
_HALF = 32


def seal(node: str, name: str) -> int:
    """The seal of one family of processes of a node; `node` is its run directory, which no other has."""
    return _number(node, 31) << _HALF | _number(name, 32)


def is_of_node(seal: int, node: str) -> bool:
    return seal > 0 and seal >> _HALF == _number(node, 31)


def _number(text: str, bits: int) -> int:
    digest = hashlib.sha256(os.fsencode(text)).digest()
    # Never zero: that would be the seal of a process that somebody allowed no locks.
    return 1 + int.from_bytes(digest[:8], "big") % ((1 << bits) - 1)


def seal_of(pid: int) -> int:
    """The seal that a process carries, also a zombie; nonsense or -1 when it has none that can be seen."""
    try:
        return resource.prlimit(pid, _RLIMIT_LOCKS)[0]
    except PermissionError:
        # Somebody else's process. What root's services may become, root can end; others' is none of ours.
        return _limit_shown(pid) if os.geteuid() == 0 else -1
    except (OSError, ValueError):
        return -1


def _limit_shown(pid: int) -> int:
    """The same from a file that everybody may read: a container's root may not ask (CAP_SYS_RESOURCE)."""
    try:
        with open(f"/proc/{pid}/limits") as file:
            shown = next((line for line in file if line.startswith("Max file locks")), "").split()
    except OSError:
        return -1
    return int(shown[3]) if len(shown) > 3 and shown[3].isdigit() else -1


def put_on(number: int) -> bool:
    """From now on this process and what it starts carries the seal; False where its limit is limited."""
    try:
        _, hard = resource.getrlimit(_RLIMIT_LOCKS)
        resource.setrlimit(_RLIMIT_LOCKS, (number, hard))
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def sealed(number: int) -> Iterator[None]:
    """What is started meanwhile carries the seal."""
    before = seal_of(os.getpid())
    put_on(number)
    try:
        yield
    finally:
        put_on(before)


def instance_of(pid: int, run: Path) -> str | None:
    """The instance that a process's environment names; None when it is not one of this node's."""
    path = _variable(pid, f"{SOCKET_VARIABLE}={run}/")
    return None if path is None else path.removesuffix(".sock").removesuffix("/sock")


def token_of(pid: int) -> str:
    """The bearer token that the process was given; empty when it has none, or cannot be looked at."""
    token = _variable(pid, f"{TOKEN_VARIABLE}=") or ""
    # A program may overwrite its environment with anything.
    return token if token.isascii() and token.isprintable() else ""


def _variable(pid: int, start: str) -> str | None:
    """What follows `start` in the first variable of a process's environment that begins with it."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError:
        return None
    mark = start.encode()
    found = (variable for variable in environment.split(b"\0") if variable.startswith(mark))
    variable = next(found, None)
    return None if variable is None else os.fsdecode(variable[len(mark) :])


def log_of(pid: int) -> tuple[int, int] | None:
    """Device and inode of the file that its output goes to: what overwrites its environment keeps that."""
    for descriptor in (1, 2):
        with suppress(OSError):
            found = os.stat(f"/proc/{pid}/fd/{descriptor}")
            return found.st_dev, found.st_ino
    return None
