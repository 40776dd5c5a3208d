"""Ends all that runs as one user: what hides from every other mark, and what runs away too fast to be found.

Who may signal everybody it can (kill(2), -1) signals all of its own processes at once, and nobody forks in
between. That is done by a process that has become this user, and goes with the others.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import anyio.to_thread

#: How often it is done while anybody is left: who is being started in this moment is seen the next time.
_ROUNDS = 20


async def end_user(uid: int) -> None:
    """Returns once nobody is left, or what is left cannot be ended."""
    for _ in range(_ROUNDS):
        if not processes_of(uid):
            return
        await anyio.to_thread.run_sync(_kill_all, uid)


def processes_of(uid: int) -> list[int]:
    """Those that live."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == uid and not _is_dead(name):
                    found.append(int(name))
    return found


def _is_dead(pid: str) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:
        text = file.read()
    return text[text.rindex(b")") + 2 : text.rindex(b")") + 3] in b"ZX"


def _kill_all(uid: int) -> None:
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            ["/bin/sh", "-c", "kill -9 -1"], user=uid, group=uid, extra_groups=(), cwd="/", env={},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5,
        )  # fmt: skip
