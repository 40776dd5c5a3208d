"""A real node in a process of its own, driven through the command line as a person would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.files import write_atomically
from manifests.sources.config import CONFIG_FILES
from reconciler.cli.client import Client
from reconciler.errors import UserError
from runtimes.memory_files import MemoryFiles
from runtimes.paths import run_directory
from runtimes.processes.marks import instance_of
from runtimes.processes.proc import pids, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable

ATEK = [sys.executable, "-m", "reconciler.cli"]
#: Seconds that anything may take on a busy machine.
PATIENCE = 40.0


class Bench:
    """A home, a folder of manifests, and the node that is running on them, if any."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="atek-e2e-"))
        self.home = self.root / "h"
        self.folder = self.root / "m"
        self.folder.mkdir()
        self.node: subprocess.Popen[bytes] | None = None

    # -- the node

    def up(self, *words: str, program: list[str] | None = None, wait: bool = True) -> None:
        """Starts a node; returns once it answers. It has no core services, unless a test configured some."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        if not any((self.home / name).exists() for name in CONFIG_FILES):
            write_atomically(self.home / CONFIG_FILES[0], b"coreServices = []\n")
        command = [
            *(program or ATEK),
            "up",
            str(self.folder),
            "--home",
            str(self.home),
            "--port",
            "0",
            *words,
        ]
        with open(self.root / "node.log", "ab") as log:
            self.node = subprocess.Popen(command, stdout=log, stderr=log)
        if wait:
            self.until(lambda: "node" in self.status(), "the node answers")

    def kill(self) -> None:
        """kill -9: nothing of the node's own is done any more."""
        assert self.node
        self.node.kill()
        self.node.wait()

    def stop(self) -> int:
        assert self.node
        self.node.send_signal(signal.SIGTERM)
        return self.node.wait(PATIENCE)

    def atek(self, *words: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [*ATEK, *words, "--home", str(self.home)]
        return subprocess.run(command, capture_output=True, text=True, input=input, timeout=PATIENCE)

    def log(self) -> str:
        return (self.root / "node.log").read_text()

    # -- what is wanted

    def write(self, name: str, text: str) -> Path:
        """As careful editors do it: a new file takes the name."""
        new, path = self.folder / f".{name}.new", self.folder / name
        new.write_text(text)
        new.rename(path)
        return path

    def declare(self, service_id: str, *command: str, **rest: Any) -> None:
        """A service that waits, unless told otherwise."""
        words = list(command) or ["sleep", "1000"]
        document = {"id": service_id, "command": words, "probes": {"readiness": "none"}, **rest}
        self.write(f"{service_id}.json", json.dumps(document))

    # -- what is

    def status(self) -> dict[str, Any]:
        """What `atek status --json` prints, without a process for each look; no services without a node."""
        try:
            return Client(self.home).status()
        except UserError:
            return {"services": []}

    def service(self, service_id: str) -> dict[str, Any]:
        found = [each for each in self.status()["services"] if each["id"] == service_id]
        return found[0] if found else {"instances": [], "conditions": [], "observedRevision": None}

    def condition(self, service_id: str, kind: str = "Ready") -> tuple[str, str, str]:
        for each in self.service(service_id)["conditions"]:
            if each["type"] == kind:
                return each["status"], each["reason"], each["message"]
        return "", "", ""

    def ready(self, *service_ids: str) -> bool:
        return all(self.condition(service_id)[0] == "True" for service_id in service_ids)

    def pid(self, service_id: str) -> int:
        """Of its only instance, once its program is there."""
        found: list[int] = []

        def told() -> bool:
            (instance,) = self.service(service_id)["instances"]
            found.extend(pid for pid in [instance["pid"]] if pid is not None)
            return bool(found)

        self.until(told, f"{service_id} has a process")
        return found[0]

    def replaced(self, service_id: str, pid: int) -> bool:
        """Whether another process serves, alone: while one takes over from the other there are two."""
        instances = self.service(service_id)["instances"]
        return self.ready(service_id) and len(instances) == 1 and instances[0]["pid"] not in (None, pid)

    def processes(self) -> dict[int, str]:
        """Everything alive that carries this home's mark, but for bubblewrap's own: pid → instance."""
        run = run_directory(self.home.resolve())
        found = {pid: instance_of(pid, run) for pid in pids()}
        return {pid: mark for pid, mark in found.items() if mark and _alive(pid) and not _is_bwrap(pid)}

    def until(self, holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Waits for a state of the world."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if holds():
                return
            time.sleep(0.05)
        raise AssertionError(f"{what}: not within {patience:g} s\n{self.log()[-3000:]}")

    def close(self) -> None:
        if self.node and self.node.poll() is None:
            self.kill()
        for pid in self.processes():
            # Who goes in a sandbox takes the others along.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for kind in ("processes", "containers"):
            MemoryFiles(self.home, kind).prune(())
        shutil.rmtree(run_directory(self.home), ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)


def _is_bwrap(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "bwrap\n"
    except OSError:
        return False


def _alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.dead
