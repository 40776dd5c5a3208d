"""Makes runtimes and services for tests: the fake and every real one behind the same few words."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from manifests.model.manifest import Manifest
from manifests.model.service import Package, Service, make_service
from runtimes.base import Launch, Running, Runtime, RuntimeUnavailable
from runtimes.fake import Behaviour, FakeMachine
from runtimes.paths import Paths, make_run_directory
from runtimes.processes.marks import instance_of, is_of_node, seal, seal_of
from runtimes.processes.proc import pids, read_stat
from runtimes.processes.process import ProcessHost
from runtimes.registry import make_runtimes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

FOLDERS = ("packages", "data", "logs", "state/instances")


def make_home() -> Path:
    """A state directory with a path short enough for sockets. The caller removes it."""
    home = Path(tempfile.mkdtemp(prefix="atek-"))
    for folder in FOLDERS:
        (home / folder).mkdir(parents=True)
    return home


def make_paths(home: Path) -> Paths:
    return Paths(home, make_run_directory(home), 2835)


def service(
    service_id: str = "app", *, runtime: str = "process", package: str = "", **manifest: Any
) -> Service:
    """A service; `package` is a folder."""
    from manifests.packages.digests import Digests

    document = {"id": service_id, **manifest}
    if package:
        document["source"] = package
    found = Package(package, Digests().digest(package)) if package else None
    return make_service(Manifest.model_validate(document), runtime=runtime, package=found, source="test")


def launch(of: Service, instance: str = "i1", slot: int = 0) -> Launch:
    return Launch(instance, of, slot, {"key": "the-key", "token": "the-token", "routerToken": "the-routers"})


class Unwatched:
    """Implements `runtimes.base.Watch` for a test that does not ask."""

    def lost(self, runtime: str, failure: RuntimeUnavailable) -> None: ...

    def moved(self, running: Running, lacking: str, failures: Sequence[str]) -> None: ...


class Collects(Protocol):
    """A runtime, a preparer or a store of packages."""

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]: ...

    async def collect(self, service_id: str, keep: Collection[Service]) -> None: ...

    async def purge(self) -> None: ...


async def clear(
    where: Collects, service_id: str, keep: Collection[Service], holder: Service | None = None
) -> Sequence[str]:
    """As a node clears away; returns where it put something."""
    told = await where.retain(service_id, keep, holder)
    await where.collect(service_id, keep)
    await where.purge()
    return told


def alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.dead


def marked(paths: Paths) -> set[int]:
    """All live processes of what this node started, by either mark."""
    node = os.fspath(paths.run)

    def is_marked(pid: int) -> bool:
        found = seal_of(pid)
        sealed = is_of_node(found, node) and found != seal(node, "")
        return sealed or instance_of(pid, paths.run) is not None

    return {pid for pid in pids() if is_marked(pid) and alive(pid)}


@dataclass
class Lives:
    """One machine and the lives of a node on it. Services act as their words say."""

    next_life: Callable[[], Runtime]
    runs: Callable[[], Awaitable[set[str]]]
    make: Callable[..., Service]
    cleanup: list[Callable[[], None]] = field(default_factory=list)


@contextmanager
def fake_lives() -> Iterator[Lives]:
    machine = FakeMachine()

    def make(service_id: str = "app", *, acts: str = "waits") -> Service:
        behaviours = {
            "waits": Behaviour(),
            "fails": Behaviour(start_fails="there is no such program"),
            "exits": Behaviour(exits_after=0.05, exit_code=3),
            "deaf": Behaviour(ignores_stop=True),
        }
        machine.behave(service_id, behaviours[acts])
        return service(service_id, command=["run", acts])

    async def runs() -> set[str]:
        return {process.running.instance for process in machine.live()}

    yield Lives(machine.runtime, runs, make)


@contextmanager
def real_lives(name: str) -> Iterator[Lives]:
    """The runtimes of this machine; each life is a host of its own over the same home."""
    home = make_home()
    paths = make_paths(home)
    hosts: list[ProcessHost] = []

    def next_life() -> Runtime:
        for host in hosts:
            host.close()
        hosts.append(ProcessHost(paths))
        return make_runtimes(hosts[-1])[name]

    async def runs() -> set[str]:
        return {instance for pid in pids() if alive(pid) and (instance := instance_of(pid, paths.run))}

    def make(service_id: str = "app", *, acts: str = "waits") -> Service:
        return PROGRAMS[name](home, service_id, acts)

    try:
        yield Lives(next_life, runs, make)
    finally:
        for pid in marked(paths):
            # The first process of a sandbox takes the others with it.
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        for host in hosts:
            host.close()
        shutil.rmtree(paths.run, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def _native(home: Path, service_id: str, acts: str) -> Service:
    commands = {
        "waits": ["sleep", "1000"],
        "fails": ["/no/such/program"],
        "exits": ["sh", "-c", "sleep 0.05; exit 3"],
        "deaf": ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"],
    }
    return service(service_id, command=commands[acts])


def _node(home: Path, service_id: str, acts: str) -> Service:
    programs = {
        "waits": "setInterval(() => {}, 1000)",
        "exits": "setTimeout(() => process.exit(3), 50)",
        "deaf": "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)",
    }
    return _written(home, service_id, "node", "index.js", programs, acts)


def _python(home: Path, service_id: str, acts: str) -> Service:
    programs = {
        "waits": "import time\ntime.sleep(1000)",
        "exits": "import sys, time\ntime.sleep(0.05)\nsys.exit(3)",
        "deaf": "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)",
    }
    return _written(home, service_id, "python", "main.py", programs, acts)


def _written(
    home: Path, service_id: str, runtime: str, file: str, programs: dict[str, str], acts: str
) -> Service:
    folder = home / f"source-{service_id}-{acts}"
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(programs.get(acts, ""))
    command = {"command": ["/no/such/program"]} if acts == "fails" else {}
    return service(service_id, runtime=runtime, package=str(folder), **command)


PROGRAMS: dict[str, Callable[[Path, str, str], Service]] = {
    "process": _native,
    "node": _node,
    "python": _python,
}


async def started(runtime: Runtime, of: Service, instance: str = "i1", slot: int = 0) -> Running:
    """Prepared and started."""
    await runtime.prepare(of, lambda _: None)
    return await runtime.start(launch(of, instance, slot))
