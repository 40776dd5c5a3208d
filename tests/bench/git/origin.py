"""A bare repository behind a `git daemon` on loopback, and a server's hook after each push."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a secret of the benchmark"


class Origin:
    """Serves `folder`; `url` is its repository."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder / "origin")
        self.repository.git(
            "--git-dir", str(self.repository.path), "config", "uploadpack.allowFilter", "true"
        )
        self.repository.git(
            "--git-dir", str(self.repository.path), "config", "uploadpack.allowAnySHA1InWant", "true"
        )
        port = _free_port()
        self.url = f"git://127.0.0.1:{port}/origin.git"
        line = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
        self._daemon = subprocess.Popen([*line, f"--base-path={folder}"], start_new_session=True)
        deadline = time.monotonic() + 10
        while not _answers(port):
            assert time.monotonic() < deadline, "git daemon does not answer"
            time.sleep(0.01)

    def close(self) -> None:
        # The daemon is a child of the command that started it, in a group of its own.
        os.killpg(self._daemon.pid, 15)
        self._daemon.wait()


def ring(port: int, name: str, delivery: int) -> None:
    """As GitHub's server does it once a push is there."""
    body = b'{"ref": "refs/heads/main"}'
    mark = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={mark}", "X-GitHub-Delivery": str(delivery)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"/_atek/hooks/git/{name}", body, headers)
    status = connection.getresponse().status
    connection.close()
    if status != 202:
        raise RuntimeError(f"the hook was answered with {status}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
