"""A home of root's whose services have users of their own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.packages.native import NativePreparer
from runtimes.paths import PRIVATE, Paths, Way, make_run_directory
from runtimes.processes.process import ProcessHost, ProcessRuntime
from runtimes.users.ranges import UserRange
from runtimes.users.service_users import ServiceUsers
from tests.runtimes.factories import FOLDERS, launch, marked, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from runtimes.base import Running, SecretFile

#: Nobody else's on any machine that these tests run on, nor those of tests beside these: whoever is of a
#: service's user ends with the service.
_BESIDE = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
USERS = UserRange(1_900_000_000 + 100 * _BESIDE, 1_900_000_099 + 100 * _BESIDE)
#: One that everybody may execute; the environment that the tests run in may lie in root's own folder.
PYTHON = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") or sys.executable
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run programs as other users")


class Machine:
    """One home, and the lives of a node on it. What runs may be ended by `finish`."""

    def __init__(self, home: Path, users: UserRange | None = USERS) -> None:
        self.home = home
        for folder in FOLDERS:
            (home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "state").chmod(0o700)
        way = Way(users.passing) if users else PRIVATE
        self.paths = Paths(home, make_run_directory(home, way), 2835, way)
        self.hosts: list[ProcessHost] = []
        self.runtime = self.next_life(users)

    def next_life(self, users: UserRange | None = USERS) -> ProcessRuntime:
        for host in self.hosts:
            host.close()
        self.paths = replace(self.paths, way=Way(users.passing) if users else PRIVATE)
        self.hosts.append(ProcessHost(self.paths, users=ServiceUsers(self.paths, users), sandbox="none"))
        self.runtime = ProcessRuntime("process", NativePreparer(self.paths), self.hosts[-1])
        return self.runtime

    async def start(
        self,
        *command: str,
        id: str = "app",
        instance: str = "i1",
        secret: SecretFile | None = None,
        **more: Any,
    ) -> Running:
        from runtimes.base import Secrets

        made = launch(service(id, command=list(command), **more), instance)
        if secret is not None:
            made = replace(made, secrets=Secrets({}, (secret,)))
        return await self.runtime.start(made)

    async def until(self, file: str, id: str = "app") -> str:
        path = self.home / "data" / id / file
        with anyio.fail_after(15):
            while not path.exists() or not path.read_text().endswith("\n"):
                await anyio.sleep(0.01)
        return path.read_text().strip()

    async def finish(self, running: Running) -> None:
        await self.runtime.stop(running, force=True)
        with anyio.fail_after(15):
            await self.runtime.wait(running)


@pytest.fixture
def home() -> Iterator[Path]:
    """Where everybody may pass."""
    made = Path(tempfile.mkdtemp(prefix="atek-users-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def machine(home: Path) -> AsyncIterator[Machine]:
    made = Machine(home)
    yield made
    for pid in marked(made.paths):
        # Who goes in a sandbox takes the others along.
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
    for host in made.hosts:
        host.close()
    shutil.rmtree(made.paths.run, ignore_errors=True)
