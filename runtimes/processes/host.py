"""What all kinds of processes of one node share: the table of instances, their records, limits and ends.

No instance leaves this table before nothing of its family is left (ownership.py says what that is). Strays of
earlier lives of the node end here, and orphans that die are let go.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from manifests.model.spec import Resources
from runtimes.base import Launch, OpenSecrets, Running, RuntimeFailure, known_secrets, no_secrets
from runtimes.memory_files import MemoryFiles
from runtimes.network.networks import Networks
from runtimes.preparer import Program
from runtimes.processes.cgroups import enter_user_scope, make_limiter
from runtimes.processes.children import TABLE
from runtimes.processes.confined import inside, make_sandboxes
from runtimes.processes.connected import connect_again, network_of, variables_of
from runtimes.processes.environment import service_environment
from runtimes.processes.leftovers import end_all, gone, reap, reap_child, send
from runtimes.processes.limits import forbid_core_dumps
from runtimes.processes.marks import instance_of
from runtimes.processes.ownership import Family, owners, remember
from runtimes.processes.proc import boot_id, pids, surroundings_of, users_of
from runtimes.processes.records import Record, Records
from runtimes.processes.recovery import Strays, recover
from runtimes.processes.sampling import Excess, Sampler, by_instance
from runtimes.processes.scan import Scanner
from runtimes.processes.settling import Settled, limited_line, options_beside, settle
from runtimes.sandbox.confinement import DEFAULT, STARTED_BEFORE, confinement_of
from runtimes.users.service_users import ServiceUsers

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths
    from runtimes.processes.ownership import Seen
    from runtimes.sandbox.confinement import Level

#: prctl(2): orphaned descendants become children of this process, so that none can hide.
_PR_SET_CHILD_SUBREAPER = 36
#: Seconds that adoption waits for strays.
_PROMPT = 0.25
#: Seconds from one look for dead orphans to the next, when many die.
_REAP_PAUSE = 0.05
NO_LIMITS = Resources()
#: A zombie that nobody waited for in this many seconds has no other parent who would.
_UNWANTED = 5.0


@dataclass(eq=False, slots=True)
class Handle:
    """One live instance. `child` is None when an earlier life of the node started it."""

    running: Running
    family: Family
    pidfd: int
    log_start: int
    child: subprocess.Popen[bytes] | None = None
    #: Its environment and folder, where this life of the node started it.
    started_in: tuple[Mapping[str, str], str] | None = None
    #: Its secrets, where this life of the node started it: they are left out of what it said last.
    hidden: frozenset[str] = frozenset()
    #: Whether it was asked to end, and whether there is no more time for it.
    asked: bool = False
    forced: anyio.Event = field(default_factory=anyio.Event)
    #: Why it was ended, where it took more than it may.
    excess: Excess | None = None


class ProcessHost:
    """Everything about the processes of one node that is not particular to one kind of program."""

    def __init__(
        self,
        paths: Paths,
        open_secrets: OpenSecrets = no_secrets,
        defaults: Resources = NO_LIMITS,
        users: ServiceUsers | None = None,
        sandbox: Level = DEFAULT,
    ) -> None:
        """`defaults` and `sandbox`: what an instance may have, and gets, where its manifest says nothing."""
        self.paths = paths
        self.open_secrets = open_secrets
        self._defaults = defaults
        self.sandbox = sandbox
        self.records = Records(paths.records)
        self.users = users or ServiceUsers(paths)
        self.memory = MemoryFiles(paths.home, "processes", paths.way, paths.way)
        self.core_limit = forbid_core_dumps()
        self.sandboxes = make_sandboxes(paths)
        self.limiter = make_limiter(enter_scope=enter_user_scope)
        self.handles: dict[str, Handle] = {}
        self.boot = boot_id()
        self.strays = Strays()
        self.networks = Networks(paths.host_port)
        self._scanner = Scanner(paths.run, paths.log_root)
        self._recovered = anyio.Event()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _keep_to_ourselves()
        TABLE.become(os.fspath(paths.run))

    async def run(self) -> None:
        """Ends strays of earlier lives and who takes too much, lets dead orphans go, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._reap_orphans)
            tasks.start_soon(self.networks.run)
            tasks.start_soon(Sampler(self).run)
            await self._recovered.wait()
            for handle in list(self.handles.values()):
                if handle.running.sandbox == "strict" and handle.child is None:
                    tasks.start_soon(connect_again, self.networks, self.paths, handle.running)
            await self.strays.gone()

    async def recover(self) -> None:
        """Finds, once, what earlier lives of this node left running. Raises RuntimeFailure."""
        if self._recovered.is_set():
            return
        look = partial(recover, self.records, self._scanner, self.limiter, self.boot)
        try:
            found = look()
            for record, family in found.kept:
                self.limiter.adopt(record.instance, record.pid)
                self.watch(record, family, None)
            unrecorded = self.records.unrecorded()
        except OSError as error:
            raise RuntimeFailure(
                "Unobservable",
                f"cannot see what runs: {error.strerror or error}: {error.filename}",
                hint="the node needs to read /proc and its state directory",
            ) from error
        for instance in (*(record.instance for record in found.dropped), *unrecorded):
            self.forget(instance, 0)
        self.strays.end(found, look)
        self.memory.prune(self.handles)
        self._recovered.set()
        # Most end at once; the others do not hold up what has nothing to do with them.
        with anyio.move_on_after(_PROMPT):
            await self.strays.gone()

    def watch(self, record: Record, family: Family, child: subprocess.Popen[bytes] | None) -> Running:
        """Takes an instance into the table. One that has ended already gets a handle all the same."""
        try:
            pidfd = os.pidfd_open(record.pid)
        except ProcessLookupError:
            pidfd = -1
        before = self.handles.get(record.instance)
        if before is not None and before.pidfd >= 0:
            os.close(before.pidfd)
        limits = self.limits_of(record.service)
        running = to_running(record, self.limiter.enforcement.sentence(limits))
        if child is None and record.sandbox == "none" and not record.unconfined:
            wanted = confinement_of(record.service, self.sandbox)
            running = replace(running, unconfined=STARTED_BEFORE if wanted.level != "none" else "")
        if child is None:
            running = replace(running, awaits_user=self.users.awaited(record.service, record.pid))
        self.handles[record.instance] = Handle(running, family, pidfd, record.log_start, child)
        return running

    def apply_limits(self, running: Running, pid: int) -> None:
        """What runs beside an instance has its limits."""
        self.limiter.join(running.instance, pid, self.limits_of(running.service))

    async def settle(self, launch: Launch, copy: Path | None) -> Settled:
        """Who runs what is about to start, with its folders theirs. Raises RuntimeFailure or OSError."""
        others = [
            each.running for each in self.handles.values() if each.running.service.id == launch.service.id
        ]
        return await settle(self.users, self.paths, launch, copy, others)

    def limited_line(self, line: list[str], service: Service, settled: Settled) -> list[str]:
        return limited_line(line, service, settled, self.limits_of(service))

    def limit(self, service: Service, settled: Settled, instance: str, pid: int) -> Sequence[str]:
        """Puts on what was not put on at the start. Returns what could not be, and what else to know."""
        limits = self.limits_of(service)
        if settled.user is not None:
            limits = limits.model_copy(update={"open_files": None})
        return (*self.limiter.apply(instance, pid, limits, own=settled.user is None), *settled.notes)

    def options(self, running: Running) -> Mapping[str, Any]:
        """How a command is started that runs beside an instance. Raises OSError."""
        return options_beside(running)

    def line(self, running: Running, words: Sequence[str], folder: str) -> Sequence[str]:
        """What to start for a command beside an instance: it is in the same sandbox. Raises OSError."""
        if running.sandbox == "none":
            return words
        return inside(running, words, folder, self.paths.exit_status(running.instance))

    def limits_of(self, service: Service) -> Resources:
        """With what holds for those that say nothing."""
        return service.manifest.resources.within(self._defaults)

    def surroundings(self, running: Running) -> tuple[Mapping[str, str], str]:
        """The environment and the folder that an instance was started in. Raises OSError.

        Of an adopted one the kernel can tell; where a program has overwritten its environment (to change its
        title) it is made again, without what only its package added.
        """
        handle = self.handles.get(running.instance)
        if handle is not None and handle.started_in is not None:
            return handle.started_in
        environment, folder = surroundings_of(running.pid)
        if instance_of(running.pid, self.paths.run) != running.instance:
            secrets = known_secrets(running.service, self.open_secrets)
            identity = {"token": running.token, "routerToken": running.router_token}
            launch = Launch(running.instance, running.service, running.slot, identity, secrets=secrets)
            files = self.memory.paths(running.instance, secrets.files)
            inside = network_of(running.service) if running.sandbox == "strict" else None
            environment = service_environment(
                launch, running.endpoint, Program((), folder), self.paths, files,
                socket=self._socket(running),
                inside=variables_of(inside, self.paths.gateway(running.instance)),
            )  # fmt: skip
        return environment, folder

    def _socket(self, running: Running) -> Path:
        own = self.paths.own_socket(running.instance)
        return own if own.parent.is_dir() else self.paths.socket(running.instance)

    async def let_end(self, handle: Handle) -> None:
        """Returns when all that the leader left has ended by itself; what did not hear of it is asked to."""
        asked: set[Seen] = set()
        # Orphans of a sandbox stay in it, children of its first process.
        everywhere = handle.child is None or handle.running.sandbox != "none"
        while found := self._find(handle.family, everywhere):
            for process in set(found) - asked:
                if process.group != handle.running.pid:
                    send(process, signal.SIGTERM)
            asked.update(found)
            for process in found:
                await gone(process)
                reap(process)

    async def clear(self, family: Family, *, adopted: bool = False) -> None:
        """Returns once nothing of the family is left; only what the kernel cannot end is."""
        self.limiter.kill(family.name)
        await end_all(partial(self._find, family, adopted))
        handle = self.handles.get(family.name)
        services = [each.running.service.id for name, each in self.handles.items() if name != family.name]
        if handle is not None and handle.running.service.id not in services:
            await self.users.end(handle.running.service)
        self.limiter.remove(family.name)

    def _find(self, family: Family, everywhere: bool) -> list[Seen]:
        """What there is of a family that has ended.

        Whoever lost his parents has become a child of this node, unless an earlier life of it was there then.
        """
        seen, found = self._look(family, pids() if everywhere else TABLE.orphans())
        mine = [seen[pid] for pid, owner in found.items() if owner == family.name]
        return [each for each in mine if not each.dead or each.parent == os.getpid()]

    def _look(self, family: Family, looked_at: Collection[int]) -> tuple[dict[int, Seen], dict[int, str]]:
        kept_with_it = self.limiter.members([family.name])
        # Who leads is waited for elsewhere.
        pids = {*looked_at, *kept_with_it} - TABLE.names().keys()
        seen = self._scanner.scan(pids, kept_with_it)
        others = (handle.family for name, handle in self.handles.items() if name != family.name)
        found = owners(
            seen, [family, *others],
            node=os.getpid(), own_seal=TABLE.own_seal, subreaper=TABLE.knows_orphans,
        )  # fmt: skip
        return seen, found

    def limited(self) -> list[Handle]:
        """The instances that may be ended for what they take."""
        return [handle for handle in self.handles.values() if handle.pidfd >= 0]

    def everybody(self, instances: Collection[str]) -> dict[str, list[Seen]]:
        """The processes of each of these instances, which are remembered to be theirs."""
        kept_with_it = {**self.limiter.members(instances), **self._of_own_users(instances)}
        seen = self._scanner.scan(pids(), kept_with_it)
        found = owners(
            seen, [handle.family for handle in self.handles.values()],
            node=os.getpid(), own_seal=TABLE.own_seal, subreaper=TABLE.knows_orphans,
        )  # fmt: skip
        for handle in map(self.handles.__getitem__, instances):
            handle.family = remember(handle.family, seen, found)
        return by_instance(seen, found)

    def _of_own_users(self, instances: Collection[str]) -> dict[int, str]:
        """Whatever hides: nobody else's programs run as the user of a service that has one instance."""
        services = [each.running.service.id for each in self.handles.values()]
        users = {
            number: name
            for name in instances
            if services.count(service := self.handles[name].running.service.id) == 1
            and (number := self.users.number(service)) is not None
        }
        return {pid: users[uid] for pid, uid in users_of(pids()) if uid in users} if users else {}

    def look_again(self, handle: Handle) -> None:
        """Remembers who is of an adopted instance, before its parents end."""
        if handle.child is None:
            handle.family = remember(handle.family, *self._look(handle.family, pids()))

    def release(self, handle: Handle) -> None:
        """Forgets an instance that has ended, and what was kept for it."""
        if handle.pidfd >= 0:
            os.close(handle.pidfd)
        self.handles.pop(handle.running.instance, None)
        self.forget(handle.running.instance, handle.running.pid)

    def forget(self, instance: str, pid: int) -> None:
        TABLE.forget(pid)
        self.records.remove(instance)
        self.memory.remove(instance)
        self.networks.close(instance)
        for file in (self.paths.socket(instance), self.paths.exit_status(instance)):
            with suppress(OSError):
                file.unlink(missing_ok=True)
        shutil.rmtree(self.paths.sockets(instance), ignore_errors=True)

    async def abandon(self, launch: Launch, child: subprocess.Popen[bytes] | None) -> None:
        """Something went wrong in the middle of a start: nothing of it is left."""
        family = Family(launch.instance, child.pid if child else 0, 0, TABLE.seal(launch.instance))
        handle = self.handles.pop(launch.instance, None)
        if handle is not None and handle.pidfd >= 0:
            os.close(handle.pidfd)
        if child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        await self.clear(family)
        self.forget(launch.instance, family.leader)

    def close(self) -> None:
        """Lets go of all instances without touching them; the next life of the node adopts them."""
        for handle in self.handles.values():
            if handle.pidfd >= 0:
                os.close(handle.pidfd)
            if handle.child is not None:
                # Popen warns about children that nobody waited for; here that is the intention.
                handle.child.returncode = 0
                TABLE.forget(handle.child.pid)
        self.handles.clear()
        self.networks.close_all()

    async def _reap_orphans(self) -> None:
        died = anyio.Event()

        async def listen() -> None:
            with anyio.open_signal_receiver(signal.SIGCHLD) as deaths:
                async for _ in deaths:
                    died.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            unsure: dict[int, float] = {}
            while True:
                now = anyio.current_time()
                unsure = {pid: unsure.get(pid, now) for pid in TABLE.reap_orphans()}
                for pid, since in unsure.items():
                    if now - since >= _UNWANTED:
                        reap_child(pid)
                with anyio.move_on_after(_UNWANTED if unsure else None):
                    await died.wait()
                died = anyio.Event()
                await anyio.sleep(_REAP_PAUSE)


def to_running(record: Record, sampled: str = "") -> Running:
    """The instance that a record describes. `sampled`: which of its limits are kept to by looking."""
    return Running(
        instance=record.instance,
        service=record.service,
        slot=record.slot,
        pid=record.pid,
        endpoint=record.endpoint,
        started_at=record.started_at,
        unenforced=record.unenforced,
        sampled=sampled,
        token=record.token,
        router_token=record.router_token,
        sandbox=record.sandbox,
        unconfined=record.unconfined,
    )


def _keep_to_ourselves() -> None:
    """Services inherit no descriptor that whoever started the node left open in it."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2:
                os.set_inheritable(int(name), False)
