"""Ends processes for good: what an instance leaves behind, what a tool forked, strays of an earlier life.

Every process is taken hold of by a pidfd before anything is done to it, so that a number which the kernel
gives to somebody else meanwhile hits nobody; and its end is waited for, not looked for.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from runtimes.processes.proc import read_stat

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from runtimes.processes.ownership import Seen

#: Seconds after which what cannot be killed (uninterruptible sleep) is left to the kernel.
GIVE_UP = 10.0


async def end_all(find: Callable[[], Collection[Seen]]) -> None:
    """Kills what `find` finds until it finds nothing more; after 10 s what cannot be killed is left."""
    with anyio.move_on_after(GIVE_UP, shield=True):
        while found := find():
            await _end(found)


async def _end(processes: Collection[Seen]) -> None:
    # All of them first: one that is waited for would be replaced by another one.
    for process in processes:
        # Also zombies: one whose other threads go on is no dead process.
        send(process, signal.SIGKILL)
    for process in processes:
        await anyio.lowlevel.checkpoint()
        await gone(process)
        reap(process)


def send(process: Seen, number: int) -> None:
    """Nothing happens when it is gone already, or is somebody else's."""
    with _held(process) as pidfd, suppress(ProcessLookupError, PermissionError):
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, number)


async def gone(process: Seen) -> None:
    """Returns once it has ended; it may still be a zombie."""
    with _held(process) as pidfd:
        if pidfd is not None:
            await anyio.wait_readable(pidfd)


def reap(process: Seen) -> None:
    """Lets the kernel forget a zombie, if it is a child of this process."""
    if process.parent == os.getpid():
        reap_child(process.pid)


def reap_child(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@contextmanager
def _held(process: Seen) -> Iterator[int | None]:
    """A pidfd of exactly this process; None when there is no such any more."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        stat = read_stat(process.pid)
        yield pidfd if stat is not None and stat.start == process.start else None
    finally:
        os.close(pidfd)
