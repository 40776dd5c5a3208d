"""The Hypercore daemon on a machine without a node: prepared once for each version, and run as a child."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from hyper.client import HyperClient
from hyper.core_services import DAEMON_FOLDER, NODE_FLAGS
from reconciler.errors import UserError
from reconciler.state.core_services import dht_address
from runtimes.packages.node_versions import find_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

_LIBRARIES = "node_modules"
#: Seconds until the daemon answers.
_PATIENCE = 30.0
#: Seconds between two looks whether it still runs.
_LOOK_EVERY = 0.5
_DONE = ".prepared"


async def prepare(folder: Path, tell: Callable[[str], None] = lambda _: None) -> Path:
    """The daemon's program with its libraries; npm fetches them once, as the lock file names them.

    `tell` hears of that, which takes a moment. Raises UserError.
    """
    shipped = Path(DAEMON_FOLDER)
    if (shipped / _LIBRARIES).is_dir():
        return shipped
    lock = (shipped / "package-lock.json").read_bytes()
    place = folder / f"daemon-{_digest(shipped, lock)}"
    if not (place / _DONE).exists():
        tell("fetching the Hypercore daemon's libraries by npm, once")
        await anyio.to_thread.run_sync(_install, shipped, place)
    return place


def _digest(shipped: Path, lock: bytes) -> str:
    digest = hashlib.sha256(lock)
    for file in sorted(shipped.rglob("*.js")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _install(shipped: Path, place: Path) -> None:
    for old in place.parent.glob("daemon-*"):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(shipped, place, ignore=shutil.ignore_patterns("test", "test-support"))
    tools = find_node()
    environment = {**os.environ, "PATH": f"{tools.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    for words in (["ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run(
            [os.fspath(tools.node), os.fspath(tools.npm), *words],
            cwd=place, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "npm failed").splitlines()[-1]
            raise UserError(f"the daemon's libraries cannot be had: {last}", hint="they come by npm, once")
    (place / _DONE).touch()


@asynccontextmanager
async def running(
    folder: Path, sockets: Path, bootstrap: Sequence[str], tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[HyperClient]:
    """A client of a daemon with its store in that folder; `sockets` is a short one. Raises UserError."""
    program = await prepare(folder, tell)
    socket = os.fspath(sockets / "hyper.sock")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HYPER_STORE": os.fspath(folder / "hyper"),
        "HYPER_SOCKET": socket,
        "HYPER_BOOTSTRAP": json.dumps(list(bootstrap)),
        "HYPER_PUBLIC": "" if bootstrap else "1",
        "HYPER_DHT": dht_address(bootstrap),
    }
    daemon = _Daemon(program, environment, folder / "daemon.log")
    daemon.start()
    try:
        client = HyperClient(socket)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.run)
            await _ready(client, daemon)
            tasks.start_soon(daemon.keep)
            yield client
            tasks.cancel_scope.cancel()
    finally:
        daemon.end()


class _Daemon:
    """The child."""

    def __init__(self, program: Path, environment: dict[str, str], log: Path) -> None:
        self._program = program
        self._environment = environment
        self.log = log
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [os.fspath(find_node().node), *NODE_FLAGS, "index.js"],
                cwd=self._program, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                # Ctrl-C is for us, who end it.
                start_new_session=True,
            )  # fmt: skip

    async def keep(self) -> None:
        """Another one whenever it has ended; its client finds it."""
        while True:
            await anyio.sleep(_LOOK_EVERY)
            if self.process.poll() is not None:
                self.start()

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def _ready(client: HyperClient, daemon: _Daemon) -> None:
    deadline = anyio.current_time() + _PATIENCE
    while daemon.process.poll() is None and anyio.current_time() < deadline:
        with anyio.move_on_after(0.2):
            await client.ready()
            return
    lines = daemon.log.read_text("utf-8", "replace").strip().splitlines()
    said = lines[-1] if lines else "it said nothing"
    hint = "another `atek connect` runs in this folder: --home names another" if "LOCKED" in said else ""
    raise UserError(f"the Hypercore daemon does not start: {said}", hint=hint)
