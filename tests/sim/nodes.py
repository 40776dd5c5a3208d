"""Whole nodes of fakes: everything is real but the machine, the sources' storage and the clock."""

from __future__ import annotations

import errno
import itertools
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import anyio

from manifests.model.manifest import Manifest
from manifests.model.service import Package, make_service
from manifests.sources.memory import MemorySource
from reconciler.drive.gate import NoGrants
from reconciler.node import Node, Ports
from reconciler.peers.standalone import Standalone
from reconciler.state.store import MemoryStore
from runtimes.fake import FakeMachine
from tests.sim.router import FakeRouter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    from manifests.model.merge import Winner
    from manifests.model.service import Service
    from reconciler.decide.conditions import Verdict
    from reconciler.drive.packages import Host, Root
    from reconciler.peers.port import Member


def manifest(service_id: str, marker: str = "a", **rest: Any) -> Manifest:
    """A program called `run` whose revision differs with the marker. `source` makes it a package."""
    return Manifest.model_validate({"id": service_id, "command": ["run", marker], **rest})


class FakePackages:
    """Implements `reconciler.drive.packages.PackageStore`: a package's content is its marker."""

    async def resolve(self, winner: Winner, generation: int) -> Service:
        found = winner.declared.manifest
        package = Package("/app", str(found.command)) if found.source else None
        return make_service(
            found, runtime="process", package=package, source=winner.source, generation=generation,
            exports=found.exports or (),
        )  # fmt: skip

    def note(self, winner: Winner) -> Verdict | None:
        return None

    def want(self, roots: Collection[Root], service_ids: Collection[str]) -> None: ...

    async def changed(self) -> Collection[Root]:
        await anyio.sleep_forever()
        return ()

    async def run(self, host: Host) -> None: ...


class MemoryFolders:
    """Implements `reconciler.decide.inheritance.DataOwners` over a dict; `held`: those with content."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.held: set[str] = set()
        self.full = False

    def owner(self, service_id: str) -> str:
        return self.owners.get(service_id, "")

    def is_held(self, service_id: str) -> bool:
        return service_id in self.held

    def note(self, owners: Mapping[str, str]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.owners |= owners


class Home:
    """What outlives a node: the machine, the sources and the memory on disk."""

    def __init__(self, seed: int = 0) -> None:
        self.machine = FakeMachine()
        self.source = MemorySource()
        self.store = MemoryStore()
        self.data = MemoryFolders()
        self.grants = NoGrants()
        self.about: dict[str, Any] = {"name": "fake"}
        self.requests: dict[str, float] = {}
        self.router = FakeRouter(self.machine, self.requests)
        self.lives = 0
        self._random = Random(seed)
        self._ids = itertools.count(1)
        self._tokens: Counter[str] = Counter()

    def make_member(self) -> Member:
        """What the node has to do with others."""
        return Standalone()

    def _new_token(self, service_id: str) -> str:
        """Each start asks for two: what the instance shows, and what is shown to it."""
        self._tokens[service_id] += 1
        starts, second = divmod(self._tokens[service_id] + 1, 2)
        return f"{'routers' if second else 'token'}-{service_id}-{starts}"

    def make_node(self, **others: Any) -> Node:
        """A new life, with a router of its own; `others` are ports that are not the usual ones."""
        self.lives += 1
        self.router = FakeRouter(self.machine, self.requests)
        node = self.router.node = Node(replace(self.ports(), **others))
        return node

    def ports(self) -> Ports:
        return Ports(
            about=self.about,
            sources=[self.source],
            packages=FakePackages(),
            runtimes={"process": self.machine.runtime()},
            prober=self.machine.prober(),
            store=self.store,
            data=self.data,
            grants=self.grants,
            router=self.router,
            member=self.make_member(),
            identity=lambda service_id: {"key": f"key-{service_id}"},
            new_id=lambda: f"i{next(self._ids)}",
            new_token=self._new_token,
            jitter=self._random.random,
        )

    @asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        """A life that ends as by kill -9: at once, with everything left as it is."""
        node = self.make_node()
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._run, node)
            yield node
            tasks.cancel_scope.cancel()

    @staticmethod
    async def _run(node: Node, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        await node.run(task_status=task_status)

    def running(self, service_id: str | None = None) -> list[tuple[str, str, int]]:
        """(id, marker, slot) of everything that runs, sorted."""
        found = []
        for process in self.machine.live(service_id):
            command = process.running.service.manifest.command or ("", "")
            found.append((process.running.service.id, command[1], process.running.slot))
        return sorted(found)


async def eventually(holds: Callable[[], bool], *, within: float = 120.0, what: str = "") -> None:
    """Waits, on whatever clock there is, until something holds; fails after `within` seconds."""
    with anyio.move_on_after(within):
        while not holds():
            await anyio.sleep(0.05)
        return
    raise AssertionError(f"did not happen within {within:g} s: {what or holds}")


def service(node: Node, service_id: str) -> dict[str, Any]:
    """What status says about one service; what Git sources see of it is a part of that."""
    entry: dict[str, Any] = next(each for each in node.status()["services"] if each["id"] == service_id)
    standing = node.standing(service_id) or {}
    told = {each["type"]: each for each in entry["conditions"]}
    assert all(
        told[each["type"]]["message"].startswith(each["message"])
        and (each["status"], each["reason"]) == (told[each["type"]]["status"], told[each["type"]]["reason"])
        for each in standing["conditions"]
    )
    assert sorted(each["revision"] for each in standing["instances"]) == sorted(
        each["revision"] for each in entry["instances"]
    )
    assert all(standing[key] == entry[key] for key in standing.keys() - {"conditions", "instances"})
    return entry


def ready(node: Node, service_id: str) -> bool:
    """Whether its Ready condition is True."""
    controller = node.reconciler.controllers.get(service_id)
    return controller is not None and controller.ready


def states(node: Node, service_id: str) -> list[str]:
    return [instance["state"] for instance in service(node, service_id)["instances"]]


def events(node: Node, service_id: str) -> list[tuple[str, str]]:
    return [(each.reason, each.message) for each in node.events.recent() if each.service == service_id]


def reconciling(node: Node, service_id: str) -> tuple[str, str]:
    conditions = {each["type"]: each for each in service(node, service_id)["conditions"]}
    return conditions["Reconciling"]["reason"], conditions["Reconciling"]["message"]


@asynccontextmanager
async def whole_life(home: Home) -> AsyncIterator[Node]:
    """A life that ends in good order: the block has to ask for it."""
    node = home.make_node()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.run)
        yield node


def condition(node: Any, service_id: str, kind: str = "Ready") -> tuple[str, str]:
    controller = node.reconciler.controllers.get(service_id)
    found = controller.condition(kind) if controller else None
    return (found.status, found.reason) if found else ("", "")
