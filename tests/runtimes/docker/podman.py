"""Podman's socket for tests, which answers as Docker's engine does: a service in a folder of its own."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import anyio

from tests.runtimes.docker.engines import PATIENCE, answers, let_go, make_image, without_engine

# Its own limits are more than a machine may allow that is a container itself; and it gives away addresses of
# which another Podman's network already has a route here.
_SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
default_subnet_pools = [{{"base" = "10.212.{third}.0/20", "size" = 24}}]
"""


class Podman:
    """`podman system service` with nothing of the machine's own containers, images and networks."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="atek-podman-"))
        self.socket = str(self.root / "podman.sock")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        (self.root / "tmp").mkdir(exist_ok=True)
        command = [
            "podman", "--root", f"{self.root}/data", "--runroot", f"{self.root}/run",
            "--tmpdir", f"{self.root}/tmp", "--network-config-dir", f"{self.root}/networks",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file",
            "system", "service", "--time", "0", f"unix://{self.socket}",
        ]  # fmt: skip
        settings = self.root / "containers.conf"
        settings.write_text(_SETTINGS.format(third=16 * (os.getpid() % 16)))
        environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
        with open(self.root / "log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE
        while not answers(self.socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"podman does not run here: {(self.root / 'log').read_text()[-1500:]}")
            time.sleep(0.05)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
        let_go(self.root)
        shutil.rmtree(self.root, ignore_errors=True)


@functools.cache
def podman() -> str:
    """The socket of one that has the test image. Skips or fails the test when there is none."""
    if os.geteuid() != 0 or not shutil.which("podman"):
        without_engine("a podman of its own needs root and podman")
    engine = Podman()
    try:
        engine.start()
    except RuntimeError as error:
        engine.close()
        without_engine(str(error))
    atexit.register(engine.close)
    anyio.run(make_image, engine.socket)
    return engine.socket
