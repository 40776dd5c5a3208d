"""The original's client libraries from npm, run by Node as its apps run them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from runtimes.packages.node_versions import find_node

HERE = Path(__file__).parent
#: Seconds that npm, or a script, may take on a busy machine.
PATIENCE = 100.0


def install_clients() -> Path:
    """The folder with their node_modules, outside of this tree; what the lock file names is installed once.

    It needs npm's registry the first time.
    """
    wanted = [HERE / name for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in wanted)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atek-tests"
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"compat-{digest}"
    # Tests run next to each other, and installs must not.
    with open(cache / "compat.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            _install(wanted, place)
    return place


def _install(wanted: list[Path], place: Path) -> None:
    tools = find_node()
    with tempfile.TemporaryDirectory(dir=place.parent) as unfinished:
        for file in wanted:
            shutil.copy(file, unfinished)
        words = [
            os.fspath(tools.node),
            os.fspath(tools.npm),
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]
        done = subprocess.run(words, cwd=unfinished, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"the original's clients could not be installed:\n{done.stderr}"
        os.rename(unfinished, place)
        os.mkdir(unfinished)


class Clients:
    """Runs scripts with the libraries, as a service of a node is run: told of it by its environment."""

    def __init__(self, folder: Path, port: int, token: str) -> None:
        """`folder` is an empty one for the scripts; `token` is what the service got."""
        self._folder = folder
        self._environment = {"ATEK_HOST_PORT": str(port), "ATEK_HOST_BEARER_TOKEN": token}
        (folder / "node_modules").symlink_to(install_clients() / "node_modules")

    def run(self, script: str, stdin: str = "") -> str:
        """What a script of this folder prints."""
        words = [os.fspath(find_node().node), shutil.copy(HERE / script, self._folder)]
        done = subprocess.run(
            words, input=stdin, env=self._environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def outcomes(self, *calls: dict[str, Any]) -> list[dict[str, Any]]:
        """What each call came to: `result`, `error` or `undefined`. See call.mjs."""
        outcomes: list[dict[str, Any]] = json.loads(self.run("call.mjs", json.dumps(calls)))
        return outcomes

    def result(self, api: str, method: str, *params: Any) -> Any:
        """The result of one call."""
        (outcome,) = self.outcomes({"api": api, "method": method, "params": params})
        assert "result" in outcome, outcome
        return outcome["result"]
