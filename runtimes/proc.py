"""Reads /proc: which processes there are, since when, whose children they are, and which are ours.

A process is ours when its environment carries the socket path of one of this node's instances. The
environment is set by the node at the start and inherited by everything the program forks, and it cannot be
forged from outside of this user.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtimes.environment import SOCKET_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stat:
    """Some fields of /proc/PID/stat (proc_pid_stat(5)); `start` is in clock ticks since boot."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start: int

    @property
    def dead(self) -> bool:
        return self.state in "ZX"


def read_stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may itself contain any of them.
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(pid, fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def boot_id() -> str:
    """Changes with every boot of the machine; process ids mean something only within one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def pids() -> list[int]:
    """All processes. Raises OSError where /proc cannot be read."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children() -> Iterator[int]:
    """The direct children of this process, of all its threads."""
    for thread in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError), open(f"/proc/self/task/{thread}/children") as file:
            yield from map(int, file.read().split())


def instance_of(pid: int, run: Path) -> str | None:
    """The id of the instance whose mark the process carries; None when it is not one of this node's."""
    path = _variable(pid, f"{SOCKET_VARIABLE}={run}/")
    return None if path is None else path.removesuffix(".sock")


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


def writes_below(pid: int, folder: Path) -> bool:
    """Whether its output goes to a file in this folder: the mark of programs that overwrite the first one."""
    try:
        return os.readlink(f"/proc/{pid}/fd/1").startswith(f"{folder}/")
    except OSError:
        return False
