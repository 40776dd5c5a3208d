"""A node that only exists to be asked: what health, control and the command line see of a real one."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketListener

from reconciler.cli.output import nearest
from reconciler.decide.event import EventRecord
from reconciler.drive.events import EventLog
from reconciler.drive.metrics import Metrics
from reconciler.errors import UserError
from reconciler.gitops.port import NoGit
from reconciler.http.server import bind_unix, serve_http
from reconciler.peers.standalone import Standalone
from reconciler.people.port import NoPeople
from reconciler.port import NoNotifications, NoUpdates
from reconciler.remote.port import NoRemote
from reconciler.serve.control import control, is_owner
from runtimes.router.port import NoRouter

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator
    from pathlib import Path

    from reconciler.gitops.port import Git
    from reconciler.peers.port import Nodes
    from reconciler.people.port import People
    from reconciler.port import Notifications, Updates
    from reconciler.remote.port import Remote
    from runtimes.router.port import Router


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2025-01-02T03:04:05Z",
    }


def service(service_id: str, *, ready: bool = True, message: str = "", **more: Any) -> dict[str, Any]:
    """One entry of `services`, running and Ready, or starting."""
    instance = {
        "instance": f"{service_id}.1",
        "pid": 4242,
        "state": "ready" if ready else "starting",
        "revision": "aaaabbbbcccc",
        "restarts": 0,
        "endpoint": "127.0.0.1:8080",
        "slot": 0,
        "startedAt": time.time() - 90,
    }
    values: dict[str, Any] = {
        "id": service_id,
        "source": "manifests",
        "file": f"/home/manifests/{service_id}.yaml",
        "runtime": "python",
        "desiredRevision": "aaaabbbbcccc",
        "observedRevision": "aaaabbbbcccc",
        "suspended": False,
        "instances": [instance],
        "conditions": [
            condition("Ready", "True", "Ready", message)
            if ready
            else condition("Ready", "False", "Starting", message),
            condition("Reconciling", "False" if ready else "True", "Settled" if ready else "Starting"),
            condition("Stalled", "False", "Settled"),
        ],
        "restarts": 0,
    }
    return values | more


def stopped(value: dict[str, Any]) -> dict[str, Any]:
    """The same service after a person stopped it."""
    conditions = [condition("Ready", "False", "Suspended", "stopped on request"), *value["conditions"][1:]]
    return value | {"suspended": True, "instances": [], "conditions": conditions}


def source(name: str, *, services: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": name,
        "kind": "file",
        "revision": "r1",
        "services": list(services),
        "error": None,
        "problems": [],
        "conflicts": [],
    }
    return values | more


@dataclass
class FakeNode:
    """Implements NodeApi over plain values that a test changes at will."""

    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    events: EventLog = field(default_factory=EventLog)
    metrics: Metrics = field(default_factory=Metrics)
    router: Router = field(default_factory=NoRouter)
    nodes: Nodes = field(default_factory=Standalone)
    git: Git = field(default_factory=NoGit)
    updates: Updates = field(default_factory=NoUpdates)
    people: People = field(default_factory=NoPeople)
    notifications: Notifications = field(default_factory=NoNotifications)
    remote: Remote = field(default_factory=NoRemote)
    pid: int = 1
    #: Seconds between being asked to stop a service and its end.
    stop_takes: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    shut_downs: int = 0
    #: What a service is like once it was asked to start, instead of ready.
    after_start: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: bool = False
    looked_at: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def add(self, *services: dict[str, Any]) -> None:
        self.services.update({value["id"]: value for value in services})

    def emit(self, service_id: str, reason: str, message: str = "", *, warning: bool = False) -> None:
        self.events.add(EventRecord(time.time(), service_id, reason, message, warning=warning))

    def status(self) -> dict[str, Any]:
        if self.broken:
            raise RuntimeError("secret detail")
        about = {
            "name": "pi",
            "version": "0.1.0",
            "pid": self.pid,
            "home": "/home/pi/.atek",
            "address": "http://localhost:2835",
            "startedAt": time.time() - 3600,
        }
        return {"node": about, "services": list(self.services.values()), "sources": self.sources}

    def unready(self) -> dict[str, str]:
        return self.waiting

    async def stop_service(self, service_id: str) -> None:
        value = self._find(service_id)
        if self.stop_takes:
            self.services[service_id] = value | {"suspended": True}
            return
        self.services[service_id] = stopped(value)

    async def start_service(self, service_id: str) -> None:
        self._find(service_id)
        self.services[service_id] = self.after_start.get(service_id) or service(service_id)

    async def restart_service(self, service_id: str) -> None:
        value = self._find(service_id)
        if not self.stop_takes:
            fresh = value["instances"][0] | {"instance": "new.2"}
            self.services[service_id] = value | {"instances": [fresh]}

    async def look_at_kept(self, service_id: str) -> None:
        self.looked_at.append(service_id)

    @property
    def granting(self) -> Any:
        """Nobody asks for anything; notes whose grants are forgotten."""
        return SimpleNamespace(rows=list, forget=self.forgotten.append)

    async def adopt_data(self, service_id: str) -> None:
        self._find(service_id)
        self.services[service_id] = service(service_id)

    def shut_down(self) -> None:
        self.shut_downs += 1
        if self.process is not None:
            self.process.terminate()

    def _find(self, service_id: str) -> dict[str, Any]:
        if service_id not in self.services:
            near = nearest(service_id, list(self.services))
            raise UserError(f"there is no service {service_id}", hint=near)
        return self.services[service_id]


@asynccontextmanager
async def serving(node: FakeNode, home: Path) -> AsyncIterator[Path]:
    """The fake behind a real control socket, as `atek up` has it; yields the socket's path."""
    home.joinpath("run").mkdir(mode=0o700, exist_ok=True, parents=True)
    path = home / "run" / "control.sock"
    listener = await SocketListener.from_socket(bind_unix(path))
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await serve_http(listener, control(node), admit=is_owner)

        group.start_soon(run)
        yield path
        group.cancel_scope.cancel()
