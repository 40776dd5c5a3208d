"""A container engine for tests: one of their own where that is possible, else one that runs already.

Without any, tests are skipped and say why; with ATEK_TEST_ENGINE=required in the environment they fail.
"""

from __future__ import annotations

import atexit
import functools
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.base import RuntimeUnavailable
from runtimes.docker.address import find_socket
from runtimes.docker.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

REQUIRED = "ATEK_TEST_ENGINE"
#: Seconds that an engine may take to begin, on a busy machine.
PATIENCE = 60.0
#: A static busybox and a small server, and nothing else.
IMAGE = "atek-test:1"
_SERVER = Path(__file__).with_name("serve.c")


class OwnEngine:
    """A dockerd in a folder of its own, which tests may stop and start.

    `machine`: the words that run a command on the machine that it is the engine of.
    """

    def __init__(self, machine: Sequence[str] = ()) -> None:
        self._machine = machine
        self.root = Path(tempfile.mkdtemp(prefix="atek-engine-"))
        self.socket = str(self.root / "docker.sock")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        command = [
            *self._machine, "dockerd", "--data-root", f"{self.root}/data", "--exec-root", f"{self.root}/exec",
            "--host", f"unix://{self.socket}", "--pidfile", f"{self.root}/pid", "--bridge", "none",
            # A name there may not end in a _, as that of a temporary folder does once in a while.
            "--containerd-namespace", self.root.name.replace("_", "0"),
            "--default-address-pool", "base=10.213.0.0/16,size=24",
            # Long enough to end its containers in good order.
            "--userland-proxy=false", "--shutdown-timeout", "30",
        ]  # fmt: skip
        with open(self.root / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while not answers(self.socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self.root / "log").read_text()[-1500:]
                raise RuntimeError(f"dockerd does not run here: {log_text}")
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Returns once it has ended."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None
            let_go(self.root)

    def ensure(self) -> None:
        """It runs again, whatever a test left."""
        if self._process is None:
            self.start()

    def close(self) -> None:
        self.stop()
        let_go(self.root)
        shutil.rmtree(self.root, ignore_errors=True)


def let_go(root: Path) -> None:
    """Of folders that an engine there forgot to unmount: its next life would mount over them."""
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in reversed([each for each in places if each.startswith(f"{root}/data")]):
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def answers(socket: str) -> bool:
    """Whether an engine listens there."""

    async def ask() -> bool:
        engine = Engine(lambda: socket)
        try:
            await engine.version()
        except RuntimeUnavailable:
            return False
        finally:
            await engine.aclose()
        return True

    return os.path.exists(socket) and anyio.run(ask)


@functools.cache
def own_engine() -> OwnEngine | str:
    """One for the whole test process; else why there is none."""
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        return "an engine of its own needs root and dockerd (Debian: docker.io)"
    engine = OwnEngine()
    try:
        engine.start()
    except RuntimeError as error:
        engine.close()
        return str(error)
    atexit.register(engine.close)
    return engine


@functools.cache
def any_engine() -> str:
    """The socket of an engine that has the test image. Skips or fails the test when there is none."""
    own = own_engine()
    socket = own.socket if isinstance(own, OwnEngine) else _running()
    if not socket:
        without_engine(str(own))
    if not _busybox():
        without_engine("a static busybox is needed (Debian: busybox-static)")
    anyio.run(make_image, socket)
    return socket


def restartable_engine() -> OwnEngine:
    """One that may be stopped. Skips or fails the test when there is none."""
    own = own_engine()
    if isinstance(own, str):
        without_engine(own)
        raise AssertionError("unreachable")
    any_engine()
    return own


def without_engine(why: str) -> None:
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"no container engine: {why}")
    pytest.skip(f"no container engine: {why}")


def _running() -> str:
    try:
        socket = find_socket()
    except RuntimeUnavailable:
        return ""
    return socket if answers(socket) else ""


def _busybox() -> str:
    found = shutil.which("busybox") or ""
    if not found:
        return ""
    told = subprocess.run(["ldd", found], capture_output=True, text=True, check=False)
    return found if told.returncode != 0 or "statically linked" in told.stdout else ""


async def make_image(socket: str, name: str = IMAGE, change: str = "ENV PATH=/bin") -> None:
    engine = Engine(lambda: socket)
    query = {"fromSrc": "-", "repo": name, "changes": change}
    async with engine.stream("POST", "/images/create", query=query, body=_pieces(root_folder())) as chunks:
        async for _ in chunks:
            pass
    await engine.aclose()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@functools.cache
def root_folder() -> bytes:
    """The root file system of the test image, as a tar archive."""
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder) / "serve"
        subprocess.run(["cc", "-O1", "-static", "-o", server, _SERVER], check=True)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(os.path.realpath(_busybox()), "bin/busybox", filter=_plain)
            tar.add(server, "bin/serve", filter=_plain)
            for name in ("sh", "sleep", "cat", "ls", "id", "wget", "touch", "head", "echo", "true", "false"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
            for name in ("tmp", "run", "proc", "sys", "dev", "etc"):
                made = tarfile.TarInfo(name)
                made.type, made.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(made)
        return archive.getvalue()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode = 0o755
    return info
