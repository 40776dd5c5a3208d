"""What an instance leaves behind is waited for until it has really ended."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes import leftovers
from runtimes.base import Endpoint, Running
from runtimes.leftovers import Leftovers
from tests.runtimes.factories import alive, service

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

INSTANCE = "app-1"


async def test_a_process_that_has_lost_its_mark_and_still_ends_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel takes the environment of a killed process first, and its number last."""
    looks: list[int] = []

    def candidates() -> list[int]:
        looks.append(child.pid)
        return [child.pid]

    def mark(pid: int, run: Path) -> str | None:
        return INSTANCE if len(looks) == 1 else None

    child = await anyio.open_process([sys.executable, "-c", "import time; time.sleep(1000)"])
    running = Running(INSTANCE, service(command=["x"]), 0, 1, Endpoint(), 0.0)
    monkeypatch.setattr(leftovers, "instance_of", mark)
    monkeypatch.setattr(leftovers, "pids", candidates)
    monkeypatch.setattr(os, "kill", lambda pid, number: None)  # It takes its time.

    async def clear() -> None:
        await Leftovers(tmp_path, lambda _: False).clear(running, adopted=True)
        assert not alive(child.pid), "it was told to be gone while it was there"

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clear)
            while len(looks) < 3:
                await anyio.sleep(0.001)
            monkeypatch.undo()
            child.kill()
    finally:
        monkeypatch.undo()
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
