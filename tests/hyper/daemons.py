"""Real daemons, each with a store of its own, that know each other by address over loopback."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from base64 import b64encode
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from hyper.client import HyperClient
from hyper.core_services import DAEMON_FOLDER, NODE_FLAGS
from hyper.port import HyperError, Peer
from runtimes.packages.node_versions import find_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Seconds; noisy machines are slow.
PATIENCE = 60.0


class Daemon:
    """One store and the process that has it open, if any. A context manager that leaves nothing behind."""

    def __init__(self, name: str = "node", *, folder: Path | None = None, **environment: str) -> None:
        self.root = folder or Path(tempfile.mkdtemp(prefix="atek-hyper-"))
        self.name = name
        self.socket = str(self.root / "s")
        self.port = free_port()
        self.environment = {"HYPER_LISTEN": f"127.0.0.1:{self.port}", "HYPER_HOLD_MS": "2000", **environment}
        self.client = HyperClient(self.socket)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        store = {"HYPER_STORE": str(self.root / "store"), "HYPER_SOCKET": self.socket}
        program = [str(find_node().node), *NODE_FLAGS, "index.js"]
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen(
                program,
                cwd=DAEMON_FOLDER,
                env={"PATH": os.environ["PATH"], **store, **self.environment, **environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    async def peer(self) -> Peer:
        """How others reach it."""
        return Peer("127.0.0.1", self.port, (await self.client.status()).noise_key)

    def log(self) -> str:
        return (self.root / "log").read_text()

    def __enter__(self) -> Daemon:
        self.root.mkdir(exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)


def write_raw(store: Path, name: str, *values: tuple[tuple[str, ...], bytes], block: bytes = b"") -> None:
    """Writes bytes as they are into a store that no daemon has open; `block`, at the end, is no bee's."""
    ops = [{"key": "\0".join(path), "bytes": b64encode(value).decode()} for path, value in values]
    ops += [{"block": b64encode(block).decode()}] if block else []
    program = [str(find_node().node), "test-support/write-raw.js", str(store), name]
    subprocess.run(program, cwd=DAEMON_FOLDER, input=json.dumps(ops).encode(), check=True)


@asynccontextmanager
async def running(*daemons: Daemon) -> AsyncIterator[None]:
    """Their clients run, and are ready; daemons are started that are not."""
    async with anyio.create_task_group() as tasks:
        for daemon in daemons:
            tasks.start_soon(daemon.client.run)
        for daemon in daemons:
            await ready(daemon)
        yield
        tasks.cancel_scope.cancel()


async def ready(daemon: Daemon) -> None:
    """Its client is. Raises AssertionError with what the daemon said when it ends instead."""
    deadline = anyio.current_time() + PATIENCE
    while daemon.process is not None and daemon.process.poll() is None and anyio.current_time() < deadline:
        with anyio.move_on_after(0.5):
            await daemon.client.ready()
            return
    raise AssertionError(f"{daemon.name} did not start:\n{daemon.log()[-3000:]}")


async def acquaint(one: Daemon, other: Daemon) -> None:
    """Each lets the other in; the first one connects."""
    first, second = await one.peer(), await other.peer()
    await one.client.allow([second.key])
    await other.client.allow([first.key])
    await one.client.add_peer(second)


async def retried(call: Any, *codes: str) -> Any:
    """The call's result, once it does not fail with one of these codes any more."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                return await call()
            except HyperError as error:
                if error.code not in (codes or ("AWAY", "HELD")):
                    raise
            await anyio.sleep(0.02)


def free_port() -> int:
    """A port below those that the kernel gives to connections, which could take it before it is used."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
