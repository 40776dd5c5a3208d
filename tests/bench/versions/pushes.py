"""`atek push` of a large package in which one file changed, from the command until the record is written."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hyper.core_services import DAEMON_FOLDER, NODE_FLAGS, hyper_service
from runtimes.packages.node_versions import find_node

if TYPE_CHECKING:
    from tests.bench.versions.earlier import Version

PATIENCE = 300.0
#: Seconds: no file's last change is so young that it has to be read again.
SETTLE = 2.5


class Node:
    """A node that nobody follows. Its daemon is its version's, with the libraries that are installed here."""

    def __init__(self, version: Version, files: int, size: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="atek-bench-push-"))
        self._atek, self._home, self._package = version.atek, self.root / "home", self.root / "package"
        self._node: subprocess.Popen[bytes] | None = None
        self._configure(_daemon_of(version))
        some = random.Random(1)
        for number in range(files):
            folder = self._package / f"{number // 100}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.bin").write_bytes(some.randbytes(size))

    def _configure(self, daemon: Path) -> None:
        self._home.mkdir(mode=0o700)
        service = hyper_service(store=str(self._home / "hyper"), socket=str(self._home / "s"))
        command = [os.fspath(find_node().node), *NODE_FLAGS, str(daemon / "index.js")]
        service |= {"runtime": "process", "command": command}
        del service["source"]
        (self._home / "config.json").write_text(json.dumps({"name": "bench", "coreServices": [service]}))

    def start(self) -> None:
        (self.root / "manifests").mkdir()
        command = [self._atek, "up", str(self.root / "manifests"), "--home", str(self._home), "--port", "0"]
        with open(self.root / "log", "wb") as log:
            self._node = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while self._run("key").returncode != 0:
            assert time.monotonic() < deadline, (self.root / "log").read_text()
            time.sleep(0.1)

    def push(self, text: str) -> float:
        """Seconds; `text` is what the one file has now."""
        (self._package / "index.js").write_text(text)
        begin = time.perf_counter()
        done = self._run("push", str(self._package), "--to", "elsewhere")
        taken = time.perf_counter() - begin
        assert done.returncode == 0, done.stderr
        return taken

    def close(self) -> None:
        if self._node is not None:
            self._node.terminate()
            self._node.wait(PATIENCE)
        shutil.rmtree(self.root, ignore_errors=True)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [self._atek, *words, "--home", str(self._home)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def measure_pushes(versions: list[Version], *, files: int, size: int, rounds: int) -> dict[str, list[float]]:
    """The versions take turns."""
    nodes = {version.name: Node(version, files, size) for version in versions}
    taken: dict[str, list[float]] = {name: [] for name in nodes}
    try:
        for node in nodes.values():
            node.start()
            node.push("first")
        time.sleep(SETTLE)
        for node in nodes.values():
            node.push("second")
        for number in range(rounds):
            for name, node in nodes.items():
                taken[name].append(node.push(str(number)))
    finally:
        for node in nodes.values():
            node.close()
    return taken


def _daemon_of(version: Version) -> Path:
    """The folder of its daemon's program: in the source beside its environment, else this tree's."""
    source = Path(version.atek).parents[2] / "source" / "hyper" / "daemon"
    if not source.is_dir():
        return Path(DAEMON_FOLDER)
    if not (source / "node_modules").exists():
        (source / "node_modules").symlink_to(Path(DAEMON_FOLDER) / "node_modules")
    return source
