"""The node: everything wired together, and the order of its life.

    lock the home ─► remember and adopt ─► read the sources ─► converge, listen, resync …
                                                     … ─► asked to end: stop services ─► let go

`Node` is made of ports only, so that the same code runs over fakes on a virtual clock. `serve` in `up.py`
gives it the real ones.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from manifests.model.nodes import Place
from reconciler.decide import history as past
from reconciler.decide.inheritance import DATA_OWNED, Inheritance
from reconciler.decide.internal_error import defect
from reconciler.drive.desired import DesiredState
from reconciler.drive.effects import Effects
from reconciler.drive.events import EventLog
from reconciler.drive.keep_going import keep_going
from reconciler.drive.loop import Reconciler
from reconciler.drive.metrics import Metrics
from reconciler.drive.routing import Routing
from reconciler.drive.status import defective_status, held_back_status, service_status, source_status, unready
from reconciler.errors import UserError
from reconciler.peers.port import RECORDS, Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from manifests.model.service import Package
    from manifests.model.snapshot import Declared, Snapshot, Source
    from reconciler.decide.controller import Controller
    from reconciler.decide.inheritance import DataOwners
    from reconciler.drive.desired import Resolver
    from reconciler.peers.port import Member
    from reconciler.state.store import Store
    from runtimes.base import Runtime
    from runtimes.probes import Prober
    from runtimes.router.port import Router

#: Seconds between two full resyncs, which repair what no event announced.
RESYNC = 30.0
#: Seconds that requests in flight have when the node ends and its services stay.
LAST_ANSWERS = 30.0


class Node:
    """One node over the ports it is given. Implements `reconciler.apis.port.ApiNode`."""

    def __init__(
        self,
        *,
        about: Mapping[str, Any],
        sources: Sequence[Source],
        resolver: Resolver,
        runtimes: Mapping[str, Runtime],
        prober: Prober,
        store: Store,
        data: DataOwners,
        router: Router,
        nodes: Member,
        identity: Callable[[str], Mapping[str, str]],
        new_id: Callable[[], str],
        new_token: Callable[[str], str],
        jitter: Callable[[], float],
        keep_services: bool = False,
    ) -> None:
        self.about = dict(about)
        self.events = EventLog()
        self.metrics = Metrics()
        self.router = router
        self.nodes = nodes
        self.routing = Routing(router, identity, self.events, stranger=self._stranger)
        effects = Effects(
            runtimes=runtimes, prober=prober, events=self.events, metrics=self.metrics, routing=self.routing,
            identity=identity, new_id=new_id, new_token=new_token, jitter=jitter,
        )  # fmt: skip
        self.reconciler = Reconciler(
            runtimes=runtimes, effects=effects, store=store, events=self.events, metrics=self.metrics,
            routing=self.routing,
        )  # fmt: skip
        inheritance = Inheritance(data, self._stranger, self._ran_for)
        self.desired = DesiredState(
            [*sources, *nodes.sources()], resolver, self.reconciler, place_of(about), inheritance
        )
        self.keep_services = keep_services
        self.notices: list[str] = []
        #: Folders of packages that are needed for another reason than that a service runs from there.
        self.also_in_use: Callable[[], set[str]] = set
        self._ending = anyio.Event()
        self._hurry = anyio.Event()
        self._loaded = False

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Converges until `shut_down` is called, then stops the services (unless they are to be kept)."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._reconcile)
            await self.desired.load()
            self._loaded = True
            self.reconciler.wake_all()
            tasks.start_soon(self.desired.run, tasks)
            tasks.start_soon(keep_going, partial(self.nodes.run, self), self.failed)
            tasks.start_soon(self._resync)
            task_status.started()
            await self._ending.wait()
            if self.keep_services:
                await self._answer_the_last()
            else:
                tasks.start_soon(self.router.end)
                tasks.start_soon(self._kill_when_asked_twice)
                await self.reconciler.shut_down()
            tasks.cancel_scope.cancel()

    def shut_down(self) -> None:
        """Asks `run` to come to its end; asked again, it ends what is left at once."""
        if self._ending.is_set():
            self._hurry.set()
        self._ending.set()

    # -- reconciler.port.NodeApi

    def status(self) -> dict[str, Any]:
        """The value of `atek status --json`."""
        return {
            "node": {**self.about, "problems": self._problems()},
            "services": [entry for _, entry in sorted(self.entries().items())],
            "sources": [
                {
                    **source_status(source, self.desired.merged, self.desired.last_read.get(source.name)),
                    **self.nodes.source_status(source.name),
                }
                for source in self.desired.sources
            ],
        }

    async def look_at_kept(self, service_id: str) -> None:
        controller = self.reconciler.controllers.get(service_id)
        if controller is not None:
            await self.reconciler.look_at_kept(controller)

    def unready(self) -> dict[str, str]:
        """Id → why; the empty id stands for the node itself."""
        if not self._loaded:
            return {"": "the sources are not read yet"}
        if self.reconciler.stopping:
            return {"": "the node is stopping"}
        reasons = unready(list(self.reconciler.controllers.values()))
        if not self.reconciler.observed:
            reasons[""] = "a runtime cannot say what runs"
        return reasons

    async def stop_service(self, service_id: str) -> None:
        """Kept across restarts once this returns."""
        if await self._suspend_elsewhere(service_id, suspended=True):
            return
        controller = self._known(service_id)
        if not await self._suspend_record(controller, suspended=True):
            await self._save(controller, suspended=True)

    async def start_service(self, service_id: str) -> None:
        """Undoes a stop, and tries again what was given up."""
        if await self._suspend_elsewhere(service_id, suspended=False):
            return
        controller = self._known(service_id)
        service = controller.wish.service
        if (
            service
            and service.manifest.suspend
            and not await self._suspend_record(controller, suspended=False)
        ):
            raise UserError(
                f"{service_id} is suspended by its manifest",
                hint=f"remove `suspend: true` from {controller.wish.file}",
            )
        await self._save(controller, suspended=False)

    async def restart_service(self, service_id: str) -> None:
        """Replaces the instances as a new revision would: with the same care."""
        controller = self._known(service_id)
        if controller.stopped:
            raise UserError(f"{service_id} is stopped", hint=f"`atek start {service_id}` starts it")
        controller.generation += 1
        try:
            await self.reconciler.saver.save_now(service_id)
        except OSError as error:
            controller.generation -= 1
            raise _cannot_save(error) from error
        controller.history = past.asked_again(controller.history)
        self.desired.resolve_again({service_id})

    async def adopt_data(self, service_id: str) -> None:
        """Lets a service have the data that one of another owner left under its id."""
        held = self.desired.held_back.get(service_id)
        if held is None or held.reason != DATA_OWNED:
            raise UserError(
                f"no service waits for data/{service_id}",
                hint=f"`atek status {service_id}` says how it fares",
            )
        try:
            await self.desired.hand_over(service_id, held.source)
        except OSError as error:
            raise _cannot_save(error) from error
        self.events.emit(service_id, "DataAdopted", f"data/{service_id} is handed over to {held.source}")

    # -- reconciler.apis.port.ApiNode

    def service(self, service_id: str) -> dict[str, Any] | None:
        """The service's entry in `status`; None when there is nothing of it (any more)."""
        controller = self.reconciler.controllers.get(service_id)
        held = self.desired.held_back.get(service_id)
        if controller is None:
            return held_back_status(service_id, held) if held else None
        try:
            node = str(self.about.get("address", ""))
            return service_status(controller, self.routing.lost.get(service_id), held, node)
        except Exception as error:
            # One that cannot be told of hides none of the others.
            return defective_status(service_id, defect(error))

    def declared(self) -> Mapping[str, Declared]:
        """Id → the declaration that the node works towards, or says why it cannot."""
        controllers = self.reconciler.controllers.values()
        return {each.id: each.wish.declared for each in controllers if each.wish.declared}

    async def look_again(self, service_id: str) -> None:
        """Returns once the service's package was looked at as it is now."""
        await self.desired.look_again(service_id)

    # -- reconciler.peers.port.Host

    def add_source(self, source: Source) -> None:
        """Declares what it says from now on. A source of the same name is replaced."""
        self.desired.add_source(source)

    def remove_source(self, name: str) -> None:
        """What only this source declared is wanted no more."""
        self.desired.remove_source(name)

    def entries(self) -> dict[str, dict[str, Any]]:
        """Id → the service's entry in `status`, of all services."""
        ids = self.reconciler.controllers.keys() | self.desired.held_back.keys()
        return {service_id: entry for service_id in ids if (entry := self.service(service_id))}

    def applied(self, source: str) -> Snapshot | None:
        """What the source said when its services were last declared to the loop."""
        return self.desired.applied.get(source)

    def ran_from(self, service_id: str) -> str:
        """The folder of the package that ran of a service last; empty when none did."""
        controller = self.reconciler.controllers.get(service_id)
        services = controller.used_services() if controller else ()
        return next((each.package.path for each in services if each.package), "")

    def sources_of(self) -> dict[str, str]:
        """Id → the name of the source that declares it."""
        return {each: winner.source for each, winner in self.desired.merged.services.items()}

    def packages_in_use(self) -> set[str]:
        """The folders of packages that something runs from, or may run from again."""
        controllers = self.reconciler.controllers.values()
        services = [service for controller in controllers for service in controller.used_services()]
        return {service.package.path for service in services if service.package} | self.also_in_use()

    def packages_of(self, service_id: str) -> list[Package]:
        """Those that a service runs from, or ran from last."""
        controller = self.reconciler.controllers.get(service_id)
        if controller is None:
            return []
        running = [each.running.service for each in controller.instances.values()]
        return [each.package for each in (*running, *controller.used_services()) if each.package]

    def failed(self, error: Exception) -> None:
        """A part of the node that is no service's has a defect; it is tried again."""
        verdict = defect(error)
        self.metrics.reconcile_errors += 1
        self.events.emit("", verdict.reason, verdict.message, warning=True)

    def listen(self, heard: Callable[[str], None]) -> None:
        """Calls `heard` with the id of each service whose entry may have changed; "" is any of them."""
        self.reconciler.heard = heard

    # -- inside

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

    def _stranger(self, source: str) -> str:
        """As whom a source's services act, unless they are this node's own."""
        return "" if source in self.desired.local else self.nodes.owner_of(source)

    def _ran_for(self, service_id: str) -> set[str]:
        """The sources of what ran of a service last, as far as that is known."""
        controller = self.reconciler.controllers.get(service_id)
        if controller is None:
            return set()
        services = [
            controller.history.healthy,
            *(each.view.service for each in controller.instances.values()),
        ]
        return {service.source for service in services if service}

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

    async def _suspend_elsewhere(self, service_id: str, *, suspended: bool) -> bool:
        """Whether it is a service in this node's records that only others run: they read it there."""
        if service_id in self.reconciler.controllers or not self.nodes.configured:
            return False
        if service_id not in await self.nodes.services.read():
            return False
        await self.nodes.services.suspend(service_id, self._order(suspended), suspended=suspended)
        return True

    def _order(self, suspended: bool) -> Change:
        return Change(str(self.about.get("name", "")), "stop" if suspended else "start")

    async def _suspend_record(self, controller: Controller, *, suspended: bool) -> bool:
        """Whether the stop or start is in the record that declares the service, for all that follow it.

        While the daemon is away a stop is kept here, where it holds all the same.
        """
        service = controller.wish.service
        if service is None or service.source != RECORDS:
            return False
        if service.manifest.suspend is suspended:
            return True
        try:
            await self.nodes.services.suspend(controller.id, self._order(suspended), suspended=suspended)
        except UserError:
            if not suspended:
                raise
            return False
        return True

    async def _save(self, controller: Controller, *, suspended: bool) -> None:
        try:
            await self.reconciler.suspend(controller, suspended=suspended)
        except OSError as error:
            raise _cannot_save(error) from error

    def _known(self, service_id: str) -> Controller:
        controller = self.reconciler.controllers.get(service_id)
        if controller is None:
            raise UserError(f"there is no service {service_id}", hint=_nearest(service_id, self.reconciler))
        return controller

    def _problems(self) -> list[str]:
        failure = self.reconciler.saver.failure
        return [*self.notices, *([failure] if failure else [])]


def place_of(about: Mapping[str, Any]) -> Place:
    """Where a node stands when manifests choose among nodes."""
    return Place(str(about.get("name", "")), frozenset(about.get("labels", ())))


def _cannot_save(error: OSError) -> UserError:
    return UserError(
        f"the state could not be saved, so nothing was changed: {error.strerror or error}",
        hint="free some space on the disk of the state directory and try again",
    )


def _nearest(service_id: str, reconciler: Reconciler) -> str:
    import difflib

    near = difflib.get_close_matches(service_id, reconciler.controllers, n=1)
    return f"did you mean {near[0]}?" if near else "`atek status` lists all services"
