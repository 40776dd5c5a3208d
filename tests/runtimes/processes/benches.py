"""A home with a runtime for programs of this machine over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from runtimes.packages.native import NativePreparer
from runtimes.processes.process import ProcessHost, ProcessRuntime
from tests.runtimes.factories import launch, make_home, make_paths, service

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Launch, Running
    from runtimes.paths import Paths


#: A program that writes what it sees to its data folder and then waits.
LOOK = """
import json, os, sys, time
seen = {"env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "fds": os.listdir("/proc/self/fd")}
path = os.environ["ATEK_DATA_DIR"] + "/seen.json"
open(path + ".new", "w").write(json.dumps(seen))
os.rename(path + ".new", path)
time.sleep(1000)
"""


class Bench:
    """A home, and a runtime over it."""

    def __init__(self, sandbox: str = "none") -> None:
        """`sandbox`: of services that say none themselves."""
        self.sandbox = sandbox
        self.home = make_home()
        self.paths: Paths = make_paths(self.home)
        self.hosts: list[ProcessHost] = []
        self.runtime = self.next_life()

    def next_life(self) -> ProcessRuntime:
        for host in self.hosts:
            host.close()
        self.hosts.append(ProcessHost(self.paths))
        self.runtime = ProcessRuntime("process", NativePreparer(self.paths), self.hosts[-1])
        return self.runtime

    async def start(self, *command: str, **manifest: Any) -> Running:
        return await self.runtime.start(launch(self.service(*command, **manifest)))

    def launch(self, service_id: str, instance: str, *command: str, **manifest: Any) -> Launch:
        return launch(service(service_id, command=list(command), **self._sandboxed(manifest)), instance)

    def service(self, *command: str, **manifest: Any) -> Service:
        return service(command=list(command), **self._sandboxed(manifest))

    def _sandboxed(self, manifest: dict[str, Any]) -> dict[str, Any]:
        return {"sandbox": self.sandbox, **manifest}

    async def finish(self, running: Running) -> None:
        with anyio.fail_after(15):
            await self.runtime.wait(running)

    async def until(self, file: str) -> Path:
        path = self.home / "data/app" / file
        with anyio.fail_after(15):
            while not path.exists():
                await anyio.sleep(0.01)
        return path
