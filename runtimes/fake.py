"""An imaginary machine behind the real ports, for whole nodes of fakes on a virtual clock.

`FakeMachine` is the world: its instances outlive the node. `FakeRuntime` is what one life of a node sees of
it. A `Behaviour` says, by service id and optionally by a marker in the command, how programs act. The
machine watches for what must never happen and keeps it in `violations`.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import anyio

from runtimes.base import Endpoint, Exit, Kept, PermanentFailure, Running, RuntimeFailure
from runtimes.sandbox.confinement import confinement_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from manifests.model.service import Service
    from manifests.model.spec import Probe
    from runtimes.base import Launch, Progress


@dataclass(slots=True)
class Behaviour:
    """How the programs of a service act. Times are seconds of the virtual clock; inf is never.

    `prepare_clears` is how long a preparation that was given up takes to end.
    """

    ready_after: float = 0.0
    exits_after: float = inf
    exit_code: int = 1
    ignores_stop: bool = False
    stop_takes: float = 0.0
    start_fails: str = ""
    start_refused: str = ""
    prepare_takes: float = 0.0
    prepare_fails: str = ""
    prepare_clears: float = 0.0
    unhealthy: bool = False
    keeps: str = ""


@dataclass(eq=False, slots=True)
class FakeProcess:
    """One imaginary running program."""

    running: Running
    started: float
    ended: anyio.Event = field(default_factory=anyio.Event)
    exit: Exit = field(default_factory=Exit)
    ends_at: float = inf
    asked_to_end: bool = False


class FakeMachine:
    """The world outside of the node."""

    def __init__(self) -> None:
        self.processes: dict[str, FakeProcess] = {}
        #: The same by service, and those that are to end: a start looks at no other service's.
        self._of: defaultdict[str, dict[str, FakeProcess]] = defaultdict(dict)
        self._ending: dict[str, FakeProcess] = {}
        self.exits: dict[str, Exit] = {}
        self.violations: list[str] = []
        self.observable = True
        self.starts = 0
        self.prepared: set[tuple[str, str]] = set()
        self.preparing: set[tuple[str, str]] = set()
        self.before_signal: Callable[[Running], None] = lambda _: None
        self._behaviours: dict[str, Behaviour] = {}

    def behave(self, service_id: str, behaviour: Behaviour) -> None:
        """From now on; a program that runs keeps the end it was given."""
        self._behaviours[service_id] = behaviour

    def behaviour(self, service: Service) -> Behaviour:
        """By `id/marker` (the second word of the command) first, then by id."""
        command = service.manifest.command or ()
        marked = f"{service.id}/{command[1]}" if len(command) > 1 else service.id
        return self._behaviours.get(marked) or self._behaviours.get(service.id) or Behaviour()

    def live(self, service_id: str | None = None) -> list[FakeProcess]:
        """What runs, of one service or of all."""
        self.tick()
        chosen = self.processes if service_id is None else self._of[service_id]
        return list(chosen.values())

    def crash(self, service_id: str, exit: Exit | None = None) -> None:
        """Ends every program of a service as if it had died."""
        for process in self.live(service_id):
            self.end(process, exit or Exit(signal=9))

    def end(self, process: FakeProcess, exit: Exit) -> None:
        instance = process.running.instance
        if self.processes.pop(instance, None):
            self._ending.pop(instance, None)
            del self._of[process.running.service.id][instance]
            self.exits[instance] = exit
            process.exit = exit
            process.ended.set()

    def end_at(self, process: FakeProcess, when: float) -> None:
        """Unless it ends before that."""
        process.ends_at = min(process.ends_at, when)
        if process.ends_at < inf:
            self._ending[process.running.instance] = process

    def tick(self) -> None:
        """Ends what was to end by now."""
        now = anyio.current_time()
        for process in [p for p in self._ending.values() if p.ends_at <= now]:
            self.end(process, process.exit)

    def run(self, launch: Launch) -> Running:
        """Starts a program; a second copy of a revision in a slot is a violation."""
        behaviour, now = self.behaviour(launch.service), anyio.current_time()
        if behaviour.start_refused:
            raise PermanentFailure("CommandNotFound", behaviour.start_refused)
        if behaviour.start_fails:
            raise RuntimeFailure("CommandNotFound", behaviour.start_fails)
        self._check_copies(launch)
        self.starts += 1
        endpoint = Endpoint(socket=f"/fake/{launch.instance}.sock")
        running = Running(
            launch.instance, launch.service, launch.slot, 1000 + self.starts, endpoint, now,
            token=launch.identity.get("token", ""),
            router_token=launch.identity.get("routerToken", ""),
            sandbox=confinement_of(launch.service).level,
        )  # fmt: skip
        process = FakeProcess(running, now, exit=Exit(code=behaviour.exit_code))
        self.processes[launch.instance] = self._of[launch.service.id][launch.instance] = process
        self.end_at(process, now + behaviour.exits_after)
        return running

    def _check_copies(self, launch: Launch) -> None:
        key, rolls = (launch.service.revision, launch.slot), self._rolls(launch.service)
        for process in self.live(launch.service.id):
            other = process.running
            if (other.service.revision, other.slot) == key and not (rolls and process.asked_to_end):
                self.violations.append(f"a second copy of {launch.service.id} {key} was started")
            if other.service.revision != launch.service.revision and not rolls:
                self.violations.append(f"{launch.service.id} was started beside another writer")

    def _rolls(self, service: Service) -> bool:
        manifest = service.manifest
        keeps = self.behaviour(service).keeps and manifest.update.strategy is None
        return manifest.strategy == "rolling" and not keeps

    @contextmanager
    def at_work(self, service: Service) -> Iterator[None]:
        """While a package is prepared; two preparations of one service are a violation."""
        if any(key[0] == service.id for key in self.preparing):
            self.violations.append(f"{service.id} was prepared twice at a time")
        self.preparing.add((service.id, service.revision))
        try:
            yield
        finally:
            self.preparing.discard((service.id, service.revision))

    def runtime(self, name: str = "process") -> FakeRuntime:
        """The port for one life of a node."""
        return FakeRuntime(self, name)

    def prober(self) -> FakeProber:
        return FakeProber(self)


class FakeRuntime:
    """Implements `runtimes.base.Runtime` over a `FakeMachine`."""

    def __init__(self, machine: FakeMachine, name: str) -> None:
        self._machine = machine
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def observe(self) -> Sequence[Running]:
        if not self._machine.observable:
            raise RuntimeFailure("Unobservable", "the machine does not answer")
        return [p.running for p in self._machine.live() if p.running.service.runtime == self._name]

    async def prepare(self, service: Service, progress: Progress) -> None:
        behaviour = self._machine.behaviour(service)
        progress("preparing")
        with self._machine.at_work(service):
            try:
                await anyio.sleep(behaviour.prepare_takes)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(behaviour.prepare_clears)
                raise
        if behaviour.prepare_fails:
            raise RuntimeFailure("PrepareFailed", behaviour.prepare_fails)
        self._machine.prepared.add((service.id, service.revision))

    async def start(self, launch: Launch) -> Running:
        service = launch.service
        if service.package and (service.id, service.revision) not in self._machine.prepared:
            self._machine.violations.append(f"{service.id} was started unprepared")
        return self._machine.run(launch)

    async def stop(self, running: Running, *, force: bool = False) -> None:
        process = self._machine.processes.get(running.instance)
        if process is None:
            return
        self._machine.before_signal(running)
        behaviour, now = self._machine.behaviour(running.service), anyio.current_time()
        process.asked_to_end = True
        if force:
            self._machine.end(process, Exit(signal=9))
        elif not behaviour.ignores_stop:
            process.exit = Exit(signal=15)
            self._machine.end_at(process, now + behaviour.stop_takes)
            # Whoever waits has to learn that the end is nearer than it was.
            self._machine.tick()
            process.ended = self._renew(process)

    @staticmethod
    def _renew(process: FakeProcess) -> anyio.Event:
        if process.ended.is_set():
            return process.ended
        old, new = process.ended, anyio.Event()
        old.set()
        return new

    async def wait(self, running: Running) -> Exit:
        while (process := self._machine.processes.get(running.instance)) is not None:
            with anyio.CancelScope(deadline=process.ends_at):
                await process.ended.wait()
            self._machine.tick()
        return self._machine.exits.get(running.instance, Exit())

    async def kept(self, service: Service) -> Kept:
        return Kept(self._machine.behaviour(service).keeps)

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        """Nothing is written in what is prepared."""
        return ()

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        kept = {service.revision for service in keep}
        gone = {key for key in self._machine.prepared if key[0] == service_id and key[1] not in kept}
        self._machine.prepared -= gone
        for key in self._machine.preparing:
            if key[0] == service_id and key[1] not in kept:
                self._machine.violations.append(f"{key} was cleared away while it was prepared")

    async def purge(self) -> None:
        """Nothing waits to be deleted."""

    async def prewarm(self, service: Service) -> None:
        """Nothing that would help."""


class FakeProber:
    """Implements `runtimes.probes.Prober` over a `FakeMachine`."""

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    async def check(self, probe: Probe | None, running: Running) -> str | None:
        process = self._machine.processes.get(running.instance)
        behaviour = self._machine.behaviour(running.service)
        if process is None or anyio.current_time() < process.started + behaviour.ready_after:
            return "connection refused"
        return "500" if probe and behaviour.unhealthy else None

    async def elsewhere(self, running: Running) -> str:
        return ""
