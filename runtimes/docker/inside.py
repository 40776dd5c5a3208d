"""Commands beside the program of a container, as probes run them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from runtimes.base import RuntimeUnavailable
from runtimes.docker.failures import EngineAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtimes.docker.engine import Engine

#: Seconds that the engine has to say which process it was that nobody waits for any more.
_GIVE_UP = 5.0


async def run_inside(engine: Engine, container: str, command: Sequence[str]) -> int:
    """The command's status. It ends when this is cancelled. Raises EngineAnswer or RuntimeUnavailable."""
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
    run = (await engine.call("POST", f"/containers/{container}/exec", body=body))["Id"]
    try:
        # Its output ends when it does.
        start = {"Detach": False, "Tty": False}
        async with engine.stream("POST", f"/exec/{run}/start", body=start) as chunks:
            async for _ in chunks:
                pass
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True), anyio.move_on_after(_GIVE_UP):
            await _end(engine, container, run)
        raise
    return int((await engine.call("GET", f"/exec/{run}/json"))["ExitCode"] or 0)


async def _end(engine: Engine, container: str, run: str) -> None:
    """The engine has no call that does it: a command that hangs would be there once more with each probe.

    It leads a session of its own, and what it started goes with it; where this node may not do that, or the
    engine's processes are not this machine's, it stays.
    """
    with suppress(EngineAnswer, RuntimeUnavailable, OSError):
        found = await engine.call("GET", f"/exec/{run}/json")
        pid = int(found.get("Pid") or 0)
        # By the time that this is asked the number may be another's.
        if found.get("Running") and pid > 1 and container in Path(f"/proc/{pid}/cgroup").read_text():
            os.killpg(pid, signal.SIGKILL)
