"""`atek up` with a fake in place of the node: `python -m tests.reconciler.fake_up WORDS…`.

The first request to shut down is told as an event; the node ends at the second one, so that a test sees both.
`CROWD` in the environment makes it tell that many events at once; `REFUSE` makes it fail to start.
"""

from __future__ import annotations

import os
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.errors import UserError
from tests.reconciler.fakes import FakeNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reconciler.port import Console


class Ending(FakeNode):
    """Ends when it is asked the second time."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = anyio.Event()

    def shut_down(self) -> None:
        super().shut_down()
        self.emit("notes", "Stopping", f"request {self.shut_downs}")
        if self.shut_downs == 2:
            self.ended.set()


async def run_node(home: Path, paths: Sequence[Path], flags: Mapping[str, Any], *, console: Console) -> int:
    """Stands in for `reconciler.up.run_node`."""
    if "REFUSE" in os.environ:
        raise UserError("port 2835 is in use", hint="choose another with --port")
    node = Ending()
    async with anyio.create_task_group() as group:
        group.start_soon(console, node)
        await anyio.wait_all_tasks_blocked()
        node.emit("notes", "Ready", f"{flags.get('port')} {[str(path) for path in paths]}")
        begin = time.monotonic()
        for number in range(int(os.environ.get("CROWD", "0"))):
            node.emit("crowd", "Ready", f"{number} {'x' * 1000}")
            if number % 500 == 0:
                await anyio.wait_all_tasks_blocked()
        if "CROWD" in os.environ:
            print(f"told in {time.monotonic() - begin:.3f} s", file=sys.stderr, flush=True)
        await node.ended.wait()
        group.cancel_scope.cancel()
    return 0


if __name__ == "__main__":
    module = ModuleType("reconciler.up")
    module.run_node = run_node  # type: ignore[attr-defined]
    sys.modules["reconciler.up"] = module
    from reconciler.cli import main

    sys.exit(main(sys.argv[1:]))
