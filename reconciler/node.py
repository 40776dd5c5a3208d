"""The node: everything wired together, and the order of its life.

    lock the home ─► remember and adopt ─► read the sources ─► converge, listen, resync …
                                                     … ─► asked to end: stop services ─► let go

`Node` is made of `Ports` only, so that the same code runs over fakes on a virtual clock. `wiring` gives it
the real ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from manifests.model.nodes import Place
from manifests.model.spec import Resources
from reconciler.drive.controllers import Controllers
from reconciler.drive.desired import DesiredState
from reconciler.drive.effects import Effects
from reconciler.drive.events import EventLog
from reconciler.drive.gate import GateKeeper, NoGrants
from reconciler.drive.granting import Granting
from reconciler.drive.inheritance import Inheritance
from reconciler.drive.internal_errors import InternalErrors
from reconciler.drive.keep_going import keep_going
from reconciler.drive.limits import Limits, NoDisk
from reconciler.drive.loop import Reconciler
from reconciler.drive.metrics import Metrics
from reconciler.drive.overview import Overview
from reconciler.drive.routing import Routing
from reconciler.drive.secrets import NoSecrets
from reconciler.gitops.port import NoGit
from reconciler.lan.wanted import Port
from reconciler.peers.orders import Orders
from reconciler.people.port import NoPeople
from reconciler.port import LoopbackOnly, NoNotifications, NoUpdates
from reconciler.remote.port import NoRemote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from manifests.model.merge import Winner
    from manifests.model.snapshot import Declared, Snapshot, Source
    from reconciler.decide.updating import Edit
    from reconciler.drive.gate import Grants
    from reconciler.drive.inheritance import DataOwners
    from reconciler.drive.limits import Disk
    from reconciler.drive.packages import PackageStore
    from reconciler.drive.secrets import SecretKeeper
    from reconciler.gitops.port import Git
    from reconciler.peers.port import Member
    from reconciler.people.port import People
    from reconciler.port import Lan, Notifications, Updates
    from reconciler.remote.port import Remote
    from reconciler.state.store import Store
    from runtimes.base import Engine, Runtime
    from runtimes.probes import Prober
    from runtimes.router.port import Router

#: Seconds between two full resyncs, which repair what no event announced.
RESYNC = 30.0
#: Seconds that requests in flight have when the node ends and its services stay.
LAST_ANSWERS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that a node is made of, each thing under its name: a test replaces the one that it needs.

    What a port is told and asked says a `Protocol` beside its kind. One that does something all the time has
    a `run`, which is given the node, or the part of it that it tells; `Node.run` lists them. What several
    ports share is made before them.
    """

    about: Mapping[str, Any]
    #: Shared: what is known of each service, and what happened.
    controllers: Controllers = field(default_factory=Controllers)
    events: EventLog = field(default_factory=EventLog)
    #: What is wanted, and what it is run from.
    sources: Sequence[Source]
    packages: PackageStore
    updates: Updates = field(default_factory=NoUpdates)
    data: DataOwners
    #: What others' services may have that a person granted them.
    grants: Grants = field(default_factory=NoGrants)
    #: Which limits nothing on this machine keeps a program to, by their keys.
    unenforceable: Callable[[Resources], Sequence[str]] = lambda _: ()
    #: What runs it, and who is listened to for that.
    runtimes: Mapping[str, Runtime]
    engines: Sequence[Engine] = ()
    prober: Prober
    router: Router
    #: Repositories.
    git: Git = field(default_factory=NoGit)
    #: Other nodes.
    member: Member
    #: The disk.
    store: Store
    secrets: SecretKeeper = field(default_factory=NoSecrets)
    disk: Disk = field(default_factory=NoDisk)
    #: What services may have where their manifests say nothing.
    limits: Resources = field(default_factory=Resources)
    restarts_per_minute: int = 600
    #: People.
    people: People = field(default_factory=NoPeople)
    notifications: Notifications = field(default_factory=NoNotifications)
    #: The network.
    lan: Lan = field(default_factory=LoopbackOnly)
    #: Devices that come from afar.
    remote: Remote = field(default_factory=NoRemote)
    #: Folders of packages that are needed for another reason than that a service runs from there.
    also_in_use: Callable[[], set[str]] = set
    #: A service's key, and whatever else says who it is, by its id.
    identity: Callable[[str], Mapping[str, str]]
    new_id: Callable[[], str]
    new_token: Callable[[str], str]
    jitter: Callable[[], float]
    keep_services: bool = False
    #: What a person should know of this start.
    notices: Sequence[str] = ()


class Node:
    """One node over its ports. Implements `reconciler.apis.port.ApiNode` and `reconciler.peers.port.Host`."""

    def __init__(self, ports: Ports) -> None:
        self.about = dict(ports.about)
        self.events = ports.events
        self.metrics = Metrics()
        self._errors = InternalErrors(self.events, self.metrics)
        self.router = ports.router
        self.nodes = ports.member
        self.git = ports.git
        self.updates = ports.updates
        self.people = ports.people
        self.notifications = ports.notifications
        self.lan = ports.lan
        self.remote = ports.remote
        self.routing = Routing(
            ports.router, ports.identity, self.events, self.metrics, owner_of=self._owner_of
        )
        self.limits = Limits(
            ports.controllers, self.events, ports.disk, ports.limits, ports.restarts_per_minute
        )
        self.reconciler = Reconciler(
            controllers=ports.controllers, runtimes=ports.runtimes, make_effects=self._effects_of(ports),
            store=ports.store, events=self.events, metrics=self.metrics, routing=self.routing,
        )  # fmt: skip
        self.desired = DesiredState(
            [*ports.sources, *ports.git.sources(), *ports.member.sources()],
            ports.packages, self.reconciler, place_of(ports.about),
            Inheritance(ports.data, self._owner_of, ports.controllers.ran_for),
            GateKeeper(
                ports.grants, self._owner_of, ports.controllers.known_services, ports.unenforceable
            ),
        )  # fmt: skip
        self.granting = Granting(self.desired, self.events)
        self._orders = Orders(str(ports.about.get("name", "")), self.reconciler, self.desired, ports.member)
        self._overview = Overview(
            self.about, self.reconciler, self.desired, self.routing,
            notices=ports.notices, more=self._source_status, rights=self.granting.rows, lan=ports.lan,
        )  # fmt: skip
        self._ports = ports
        self._ending = anyio.Event()
        self._hurry = anyio.Event()

    def _effects_of(self, ports: Ports) -> partial[Effects]:
        return partial(
            Effects, runtimes=ports.runtimes, prober=ports.prober, events=self.events, metrics=self.metrics,
            routing=self.routing, identity=ports.identity, new_id=ports.new_id, new_token=ports.new_token,
            jitter=ports.jitter, secrets=ports.secrets, limits=self.limits,
        )  # fmt: skip

    def _source_status(self, name: str) -> Mapping[str, Any]:
        return {**self._ports.member.source_status(name), **self.git.status(name)}

    # -- its life

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Converges until `shut_down` is called, then stops the services (unless they are to be kept)."""
        async with anyio.create_task_group() as tasks:
            for engine in self._ports.engines:
                tasks.start_soon(keep_going, partial(engine.run, self.reconciler), self.failed)
            await tasks.start(self._reconcile)
            await self.desired.load()
            self.reconciler.wake_all()
            tasks.start_soon(self.desired.run, tasks)
            tasks.start_soon(keep_going, partial(self._ports.packages.run, self), self.failed)
            tasks.start_soon(keep_going, partial(self._ports.member.run, self), self.failed)
            tasks.start_soon(keep_going, partial(self.updates.run, self), self.failed)
            tasks.start_soon(keep_going, partial(self.git.run, self), self.failed)
            tasks.start_soon(keep_going, partial(self.notifications.run, self), self.failed)
            tasks.start_soon(keep_going, partial(self.people.run, self), self.failed)
            tasks.start_soon(keep_going, partial(self.lan.run, self), self.failed)
            tasks.start_soon(keep_going, partial(self.remote.run, self), self.failed)
            tasks.start_soon(self._resync)
            task_status.started()
            await self._ending.wait()
            await self._end(tasks)
            tasks.cancel_scope.cancel()

    async def _end(self, tasks: anyio.abc.TaskGroup) -> None:
        if self._ports.keep_services:
            await self._answer_the_last()
            return
        tasks.start_soon(self.router.end)
        tasks.start_soon(self._kill_when_asked_twice)
        await self.reconciler.shut_down()

    async def _answer_the_last(self) -> None:
        """Services go on without the node; requests that came through it are answered before it goes."""
        with anyio.move_on_after(LAST_ANSWERS):
            async with anyio.create_task_group() as tasks:

                async def unless_asked_twice() -> None:
                    await self._hurry.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(unless_asked_twice)
                await self.router.end()
                tasks.cancel_scope.cancel()

    async def _kill_when_asked_twice(self) -> None:
        await self._hurry.wait()
        await self.reconciler.kill_all()

    async def _reconcile(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        await self.reconciler.run(task_status=task_status)

    async def _resync(self) -> None:
        while True:
            await anyio.sleep(RESYNC)
            begin = time.process_time()
            try:
                await self.desired.resync()
            except Exception as error:
                self.failed(error)
            self.reconciler.wake_all()
            await anyio.lowlevel.checkpoint()
            self.metrics.resyncs += 1
            self.metrics.resync_cpu_seconds += time.process_time() - begin

    # -- reconciler.port.NodeApi

    def shut_down(self) -> None:
        """Asks `run` to come to its end; asked again, it ends what is left at once."""
        if self._ending.is_set():
            self._hurry.set()
        self._ending.set()

    def status(self) -> dict[str, Any]:
        return self._overview.status()

    def unready(self) -> dict[str, str]:
        return self._overview.unready()

    async def look_at_kept(self, service_id: str) -> None:
        await self.reconciler.look_at_kept(service_id)

    async def stop_service(self, service_id: str) -> None:
        await self._orders.stop(service_id)

    async def start_service(self, service_id: str) -> None:
        await self._orders.start(service_id)

    async def restart_service(self, service_id: str) -> None:
        await self._orders.restart(service_id)

    async def adopt_data(self, service_id: str) -> None:
        await self._orders.adopt_data(service_id)

    # -- reconciler.apis.port.ApiNode

    def service(self, service_id: str) -> dict[str, Any] | None:
        return self._overview.service(service_id)

    def standing(self, service_id: str) -> dict[str, Any] | None:
        return self._overview.standing(service_id)

    def declared(self) -> Mapping[str, Declared]:
        return self.reconciler.controllers.declared()

    def is_own(self, service_id: str) -> bool:
        winner = self.winner(service_id)
        return winner is not None and winner.own

    async def look_again(self, service_id: str) -> None:
        await self.desired.look_again(service_id)

    # -- reconciler.drive.origins.Host

    def winner(self, service_id: str) -> Winner | None:
        return self.desired.merged.services.get(service_id)

    def updatable(self) -> set[str]:
        services = self.desired.merged.services.items()
        return {service_id for service_id, each in services if each.declared.manifest.auto_update is not None}

    async def write_back(self, winner: Winner, change: Edit) -> str:
        return await self.git.write_back(winner.source, winner.declared.manifest.id, change)

    async def keeps(self, service_id: str) -> str | None:
        kept = await self.reconciler.look_at_kept(service_id)
        return None if kept is None else kept.what

    # -- reconciler.lan.keeper.Host

    def lan_ports(self) -> frozenset[Port]:
        """What services of this node wish for, whether or not they run."""
        wishes = ((each.id, each.wish) for each in self.reconciler.controllers.values())
        return frozenset(
            Port(wish.rank, service_id, wish.service.manifest.lan.port, self.is_own(service_id))
            for service_id, wish in wishes
            if wish.service is not None and wish.service.manifest.lan is not None
        )

    # -- reconciler.peers.port.Host, reconciler.drive.packages.Host

    def add_source(self, source: Source) -> None:
        self.desired.add_source(source)

    def remove_source(self, name: str) -> None:
        self.desired.remove_source(name)

    def entries(self) -> dict[str, dict[str, Any]]:
        return self._overview.entries()

    def applied(self, source: str) -> Snapshot | None:
        return self.desired.applied.get(source)

    def packages_in_use(self) -> set[str]:
        return self.reconciler.controllers.packages_in_use() | self._ports.also_in_use()

    def listening(self, heard: Callable[[str], None]) -> AbstractContextManager[None]:
        return self.reconciler.listening(heard)

    @property
    def complete(self) -> bool:
        return self.desired.merged.complete

    def failed(self, error: Exception) -> None:
        """A part of the node that is no service's has an internal error; it is tried again."""
        self._errors.report("", error)

    # -- inside

    def _owner_of(self, source: str) -> str:
        """As whom a source's services act, unless they are this node's own."""
        if source in self.desired.local:
            return self.git.owner_of(source)
        return self.nodes.owner_of(source)


def place_of(about: Mapping[str, Any]) -> Place:
    """Where a node stands when manifests choose among nodes."""
    return Place(str(about.get("name", "")), frozenset(about.get("labels", ())))
