"""A reader's terminal: lines are typed, and print what they should."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BIN = Path(sys.executable).parent
#: Seconds that a line may take on a busy machine.
PATIENCE = 100.0


class Line(NamedTuple):
    """`prints`: a pattern of what it has to print. `status`: with what it ends; None: Ctrl-C ends it."""

    text: str
    prints: str = ""
    status: int | None = 0


class Job:
    """A line that runs."""

    def __init__(self, text: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._text = text
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the job
        self._process = subprocess.Popen(
            ["bash", "-e", "-c", text], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=self._output, stderr=self._output, start_new_session=True, preexec_fn=heed_ctrl_c,
        )  # fmt: skip

    def said(self) -> str:
        """On both streams, up to now."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode("utf-8", "replace")

    def until(self, prints: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(prints, self.said(), re.MULTILINE):
            goes_on = self._process.poll() is None and time.monotonic() < deadline
            assert goes_on, f"{self._text} does not print {prints}\n{self.said()}"
            time.sleep(0.05)

    def ended(self) -> int:
        """Its status."""
        return self._process.wait(PATIENCE)

    def end(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C, which all of a terminal's programs get."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)
        return self.ended()

    def stop(self) -> int:
        """As systemd does where KillMode=process."""
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def close(self) -> None:
        self._output.close()


def heed_ctrl_c() -> None:
    """Whoever runs the tests in the background may have it ignored, which is inherited (POSIX, sh, 2.11)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Shell:
    """`places`: what is typed in place of what is written, one after the other."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], places: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder
        path = f"{BIN}:{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **environment}
        self._places = places or {}
        self._jobs: list[Job] = []

    def type(self, lines: Iterable[Line]) -> None:
        """Each of them prints what it should, and ends as it should."""
        for line in lines:
            said = self.says(line)
            assert re.search(line.prints, said, re.MULTILINE), f"{line.text}\n{said}"

    def says(self, line: Line) -> str:
        """What it prints. One that goes on gets Ctrl-C once it has printed what it should."""
        job = self.begin(line.text)
        if line.status is None:
            job.until(line.prints)
            job.end()
        else:
            status = job.ended()
            assert status == line.status, f"{line.text}: status {status}\n{job.said()}"
        return job.said()

    def begin(self, text: str) -> Job:
        for old, new in self._places.items():
            text = text.replace(old, new)
        self._jobs.append(Job(text, self._folder, self._environment))
        return self._jobs[-1]

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        """What still runs is ended as when the terminal is closed."""
        for job in self._jobs:
            job.end(signal.SIGTERM)
            job.close()
