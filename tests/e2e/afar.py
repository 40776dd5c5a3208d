"""A home that devices reach from afar, and a device, on a private DHT of loopback that begins at the home."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from hyper.core_services import HYPER_ID
from tests.e2e.members import Member
from tests.e2e.nodes import ATEK
from tests.e2e.readmes.shell import heed_ctrl_c
from tests.hyper.daemons import free_port

#: Seconds for anything that takes a moment.
PATIENCE = 100.0


class Home(Member):
    """A node whose daemon is the first of a DHT."""

    def __init__(self, name: str = "home") -> None:
        super().__init__(name)
        self.meeting_point = f"127.0.0.1:{free_port()}"
        file = self.home / "config.json"
        config = json.loads(file.read_text())
        config["remote"] = {"enabled": True, "meetingPoint": self.meeting_point}
        config["coreServices"][0]["env"]["HYPER_MEETING_POINT"] = self.meeting_point
        file.write_text(json.dumps(config))

    def pair(self) -> tuple[str, subprocess.Popen[str]]:
        """A code, and the command that shows it."""
        self.until(lambda: self.ready(HYPER_ID), "the daemon is ready")
        showing = subprocess.Popen(
            [*ATEK, "pair", "--home", os.fspath(self.home)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert showing.stdout is not None
        for line in showing.stdout:
            if found := re.search(r"atek connect (\S+)", line):
                return found[1], showing
        raise AssertionError("no code was shown")


class Device:
    """A machine without a node, in a folder of its own. A context manager that leaves nothing behind."""

    def __init__(self, name: str = "laptop") -> None:
        self.name = name
        self.home = Path(tempfile.mkdtemp(prefix="atek-device-"))
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        shutil.rmtree(self.home, ignore_errors=True)

    def connect(self, *words: str) -> None:
        """`atek connect`, on any port; goes on beside the test."""
        command = [
            *ATEK,
            "connect",
            *words,
            "--port",
            "0",
            "--name",
            self.name,
            "--home",
            os.fspath(self.home),
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"}, preexec_fn=heed_ctrl_c,
        )  # fmt: skip
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        with process.stdout as said:
            for line in said:
                print(f"device: {line}", end="", file=sys.stderr)
                lines.put(line)
        lines.put("")

    def says(self, words: str) -> str:
        """The next line with these words; fails when the command ends first."""
        while line := self._lines.get(timeout=PATIENCE):
            if words in line:
                if found := re.search(r"http://localhost:(\d+)", line):
                    self.port = int(found[1])
                return line
        raise AssertionError(f"it ended without saying {words!r}")

    def status(self) -> int:
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)
