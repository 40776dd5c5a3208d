"""A program in the background, with a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.processes import children_of
from tests.bench.router.wire import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable


class Daemon:
    """Begins and ends it. What it prints is in `log`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="atek-bench-"))
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, *words: str | Path, **environment: str) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, **environment}, start_new_session=True,
            )  # fmt: skip

    def pids(self) -> list[int]:
        """The program and its children: nginx works in one of them."""
        assert self.process
        return [self.process.pid, *children_of(self.process.pid)]

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits for a state; raises with the program's last words when it does not come about."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline or (self.process and self.process.poll() is not None):
                raise SystemExit(f"{what}: it did not happen\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
