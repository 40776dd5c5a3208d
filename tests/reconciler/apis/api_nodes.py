"""The system APIs over a real node, real manifest files and imaginary programs."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from manifests.model.nodes import Place
from reconciler.apis.declare import Declarations
from reconciler.apis.handler import INSPECT_PATH, SERVICES_PATH, system_apis
from reconciler.apis.inspect import InspectApi
from reconciler.apis.leaving import Leaving
from reconciler.apis.rename import open_installed
from reconciler.apis.repositories import GitRepositories
from reconciler.apis.services import ServicesApi
from reconciler.apis.users import UsersApi
from reconciler.drive.controllers import Controllers
from reconciler.drive.events import EventLog
from reconciler.drive.packages import open_packages
from reconciler.drive.sources import make_sources
from reconciler.http.messages import Request, Response, json_response
from reconciler.node import Node, Ports
from reconciler.peers.membership import Membership
from reconciler.peers.standalone import Standalone
from reconciler.people.model import Everybody, Person
from reconciler.people.port import NoPeople
from reconciler.state.data_owners import DataFolders
from reconciler.state.store import MemoryStore
from runtimes.fake import FakeMachine
from runtimes.router.port import NoRouter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from hyper.fake import FakeHyper
    from reconciler.apis.users import InstallMain
    from reconciler.peers.port import Member
    from reconciler.people.port import People
    from reconciler.state.installed import InstalledServices

#: Seconds that anything may take on a busy machine.
PATIENCE = 30.0
#: A manifest of a person's own.
COMMAND = "id: {id}\ncommand: [run, a]\n"


class Failure(Exception):
    """A JSON-RPC error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']} {error['message']}")
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.hint: str = (error.get("data") or {}).get("hint", "")


class Named(NoPeople):
    """People who are called what their keys are."""

    def __init__(self, *names: str) -> None:
        self.everybody = Everybody(people={name: Person(key=name, username=name) for name in names})

    def named(self, username: str) -> Person | None:
        return self.everybody.people.get(username)


class Apis:
    """One life of a node with its APIs, called as the router does."""

    def __init__(
        self,
        node: Node,
        services: ServicesApi,
        inspect: InspectApi,
        installed: InstalledServices,
        node_main: InstallMain | None = None,
    ) -> None:
        self.node = node
        self.services = services
        node.people.leaving = Leaving(node, node.people, installed).settle
        users = UsersApi(node.people, node_main)
        self.handler = system_apis(services, inspect, users, node.people, otherwise=_not_found)
        self.installed = installed

    async def __call__(self, method: str, *params: Any, user: str = "system") -> Any:
        """The result of a method of the services API. Raises Failure."""
        return await self.call(SERVICES_PATH, method, params, {"atek-auth-user": user})

    async def inspect(self, method: str, *, user: str = "system") -> Any:
        return await self.call(INSPECT_PATH, method, (), {"atek-auth-user": user})

    async def call(self, path: str, method: str, params: Any, headers: Mapping[str, str]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        with anyio.fail_after(PATIENCE):
            response = await self.handler(Request("POST", path, "", headers, body))
        assert response.status == 200
        assert isinstance(response.body, bytes)
        answer = json.loads(response.body)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer["result"]

    async def until(self, holds: Any) -> None:
        with anyio.fail_after(PATIENCE):
            while not holds():
                await anyio.sleep(0.01)


class World:
    """What outlives a node: the machine, the home, what is remembered."""

    def __init__(self, root: Path, hyper: FakeHyper | None = None) -> None:
        """`hyper`: a store in which the node has records."""
        self.home = root / "home"
        self.hyper = hyper
        for folder in ("manifests", "data", "logs", "state/snapshots", "packages"):
            (self.home / folder).mkdir(parents=True)
        self.packages = root / "packages"
        self.machine = FakeMachine()
        self.config: dict[str, Any] = {"name": "pi"}
        self.people: People = Named("alice", "bob", "eve")
        self.main: InstallMain | None = None
        self._store = MemoryStore()
        self._ids = itertools.count(1)

    def package(self, folder_name: str = "notes", **atek_json: Any) -> str:
        """A package's URL."""
        folder = self.packages / folder_name
        folder.mkdir(parents=True)
        (folder / "index.js").write_text("// 1\n")
        if atek_json:
            (folder / "atek.json").write_text(json.dumps(atek_json))
        return folder.as_uri()

    def manifest(self, service_id: str) -> Path:
        return self.home / "manifests" / f"{service_id}.yaml"

    def write(self, name: str, text: str) -> None:
        """A manifest file of a person's own."""
        new, path = self.home / "manifests" / f".{name}.new", self.home / "manifests" / name
        new.write_text(text)
        new.rename(path)

    def running(self, service_id: str) -> list[dict[str, str]]:
        """The environments of what runs of a service."""
        return [process.running.service.manifest.env for process in self.machine.live(service_id)]

    def _member(self, key_of: Callable[[str], str]) -> Member:
        if self.hyper is None:
            return Standalone()
        place = Place("pi")
        return Membership(self.hyper, self.home, place, version="1", key_of=key_of, wall=time.time)

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Apis]:
        """A life that ends as by kill -9."""
        installed = await open_installed(self.home)

        def identity(service_id: str) -> dict[str, str]:
            return installed.identity(service_id, {"key": f"key of {service_id}"})

        controllers, events = Controllers(), EventLog()
        packages = open_packages(self.home, controllers, events)
        ports = Ports(
            about={"name": "fake"},
            controllers=controllers,
            events=events,
            sources=make_sources(self.home, [], None),
            packages=packages,
            runtimes={name: self.machine.runtime(name) for name in ("node", "python", "process")},
            prober=self.machine.prober(),
            store=self._store,
            data=DataFolders(self.home),
            router=NoRouter(),
            member=self._member(lambda each: identity(each)["key"]),
            people=self.people,
            identity=identity,
            new_id=lambda: f"i{next(self._ids)}",
            new_token=lambda _: "secret",
            jitter=lambda: 0.0,
        )
        node = Node(ports)
        repositories = GitRepositories(packages.git, node.is_own, packages.rename)
        declarations = Declarations(
            node, self.home, installed, lambda each: identity(each)["key"], repositories
        )
        services = ServicesApi(node, declarations, patience=PATIENCE)
        async with anyio.create_task_group() as tasks:
            await tasks.start(_run, node)
            yield Apis(node, services, InspectApi(node, self.config), installed, self.main)
            tasks.cancel_scope.cancel()


async def _run(node: Node, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    await node.run(task_status=task_status)


async def _not_found(request: Request) -> Response:
    return json_response(404, {"error": True, "message": "Not found"})


async def declare(apis: Apis, world: World, service_id: str, text: str = COMMAND) -> None:
    """As `atek apply` does it."""
    world.write(f"{service_id}.yaml", text.format(id=service_id))
    await apis.until(lambda: world.machine.live(service_id) or service_id in apis.node.declared())
