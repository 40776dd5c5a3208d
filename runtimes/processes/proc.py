"""Reads /proc: which processes there are, since when, and whose children they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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


def surroundings_of(pid: int) -> tuple[dict[str, str], str]:
    """The environment that a process was started with, and the folder that it is in. Raises OSError."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = (item.partition(b"=") for item in file.read().split(b"\0") if b"=" in item)
        environment = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    return environment, os.readlink(f"/proc/{pid}/cwd")


def boot_id() -> str:
    """Changes with every boot of the machine; process ids mean something only within one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def pids() -> list[int]:
    """All processes. Raises OSError where /proc cannot be read."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def users_of(pids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Each process that there is, and as which user it runs."""
    for pid in pids:
        try:
            yield pid, os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue


def children(parent: int | None = None) -> list[int]:
    """The children of a process that its main thread started, and all orphans that it was given.

    Without `parent` those of this one.
    """
    parent = os.getpid() if parent is None else parent
    try:
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        # A kernel without CONFIG_PROC_CHILDREN.
        return [pid for pid in pids() if (stat := read_stat(pid)) is not None and stat.parent == parent]


def program_in_sandbox(leader: int) -> int | None:
    """The program that bubblewrap, the process `leader`, has executed; None while there is none."""
    inner = (pid for first in children(leader) for pid in children(first))
    try:
        return next((pid for pid in inner if is_second_of_namespace(pid)), None)
    except OSError:
        return None


def is_second_of_namespace(pid: int) -> bool:
    """By its number in its innermost namespace (proc_pid_status(5), NSpid): what bubblewrap forks first."""
    try:
        with open(f"/proc/{pid}/status") as file:
            numbers = next((line.split()[1:] for line in file if line.startswith("NSpid:")), [])
    except OSError:
        return False
    return len(numbers) > 1 and numbers[-1] == "2"
