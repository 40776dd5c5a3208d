"""Runs programs of this machine as instances, each in a session of its own.

`ProcessRuntime` is one kind of program (native, Node, Python: they differ by their `Preparer`);
`ProcessHost` is what all kinds of one node share: the table of instances, their records and their limits.

No pipe leads from a program to the node, its output goes straight to a file; so a node that dies neither
stalls nor kills it. Its exit is noticed through a pidfd, which works for our own children and for adopted
ones alike.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from runtimes import last_words
from runtimes.base import Endpoint, Exit, Running, RuntimeFailure
from runtimes.belonging import Family, owners, remember
from runtimes.census import Census
from runtimes.children import TABLE, reap
from runtimes.environment import command_line, service_environment
from runtimes.leftovers import end_all
from runtimes.limits import make_limiter
from runtimes.ports import free_port, require_free
from runtimes.proc import boot_id, pids, read_stat
from runtimes.records import Record, Records
from runtimes.recovery import Strays, family_of, recover

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from manifests.service import Service
    from runtimes.base import Launch, Progress
    from runtimes.belonging import Seen
    from runtimes.paths import Paths
    from runtimes.preparer import Preparer, Program

#: prctl(2): orphaned descendants become children of this process, so that none can hide.
_PR_SET_CHILD_SUBREAPER = 36
#: Seconds that adoption waits for strays.
_PROMPT = 0.25
#: Seconds from one look for dead orphans to the next, when many die.
_REAP_PAUSE = 0.05
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


class ProcessHost:
    """Everything about the processes of one node that is not particular to one kind of program."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.records = Records(paths.records)
        self.limiter = make_limiter()
        self.handles: dict[str, Handle] = {}
        self.boot = boot_id()
        self.strays = Strays()
        self._census = Census(paths.run, paths.log_root)
        self._recovered = anyio.Event()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _keep_to_ourselves()
        TABLE.become(os.fspath(paths.run))

    async def run(self) -> None:
        """Ends the strays of earlier lives, and lets dead orphans go, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._reap_orphans)
            await self._recovered.wait()
            await self.strays.gone()

    async def recover(self) -> None:
        """Finds, once, what earlier lives of this node left running. Raises RuntimeFailure."""
        if self._recovered.is_set():
            return
        try:
            found = recover(self.records, self._census, self.limiter, self.boot)
            for record, family in found.kept:
                self.watch(record, family, None)
        except OSError as error:
            raise RuntimeFailure(
                "Unobservable",
                f"cannot see what runs: {error.strerror or error}: {error.filename}",
                hint="the node needs to read /proc and its state directory",
            ) from error
        self.strays.end(found.strays, found.dropped)
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
        running = to_running(record)
        self.handles[record.instance] = Handle(running, family, pidfd, record.log_start, child)
        return running

    def enrol(self, running: Running, pid: int) -> None:
        """What runs beside an instance has its limits."""
        self.limiter.join(running.instance, pid, running.service.manifest.resources)

    async def clear(self, family: Family, *, adopted: bool = False) -> None:
        """Returns once nothing of the family is left; only what the kernel cannot end is."""
        self.limiter.kill(family.name)
        await end_all(partial(self._find, family, adopted))
        self.limiter.remove(family.name)

    def _find(self, family: Family, adopted: bool) -> list[Seen]:
        """What there is of a family that has ended.

        Whoever lost his parents has become a child of this node, unless an earlier life of it was there then.
        """
        seen, found = self._look(family, pids() if adopted else TABLE.orphans())
        mine = [seen[pid] for pid, owner in found.items() if owner == family.name]
        return [each for each in mine if not each.dead or each.parent == os.getpid()]

    def _look(self, family: Family, looked_at: Collection[int]) -> tuple[dict[int, Seen], dict[int, str]]:
        seen = self._census.look(looked_at, self.limiter.members([family.name]) if looked_at else {})
        others = (handle.family for name, handle in self.handles.items() if name != family.name)
        found = owners(seen, [family, *others], node=os.getpid(), own_seal=TABLE.own_seal) if seen else {}
        return seen, found

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
        with suppress(OSError):
            self.paths.socket(instance).unlink(missing_ok=True)

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
                        reap(pid)
                with anyio.move_on_after(_UNWANTED if unsure else None):
                    await died.wait()
                died = anyio.Event()
                await anyio.sleep(_REAP_PAUSE)


class ProcessRuntime:
    """Implements `runtimes.base.Runtime` for one kind of program."""

    def __init__(self, name: str, preparer: Preparer, host: ProcessHost) -> None:
        self._name = name
        self._preparer = preparer
        self._host = host

    @property
    def name(self) -> str:
        return self._name

    async def observe(self) -> Sequence[Running]:
        await self._host.recover()
        found = (handle.running for handle in self._host.handles.values())
        return [running for running in found if running.service.runtime == self._name]

    async def prepare(self, service: Service, progress: Progress) -> None:
        await self._preparer.prepare(service, progress)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        await self._preparer.collect(service_id, keep)

    async def anticipate(self, service: Service) -> None:
        await self._preparer.anticipate(service)

    async def start(self, launch: Launch) -> Running:
        host, paths = self._host, self._host.paths
        await host.strays.gone(launch.service.id)
        try:
            program = self._preparer.program(launch.service)
            endpoint = _choose_endpoint(launch, paths)
            environment = service_environment(launch, endpoint, program, paths)
            _make_folders(launch.service.id, paths)
            line = command_line(launch, program, environment)
            paths.socket(launch.instance).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_start(launch, error) from error
        child = None
        try:
            # From here on something may run: whatever happens, it is known or it is ended.
            child, log_start = _spawn(launch.instance, line, program, environment, paths, launch.service.id)
            return self._enter(launch, endpoint, child, log_start)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await host.abandon(launch, child)
            if isinstance(error, OSError) and child is None:
                raise _cannot_start(launch, error) from error
            if isinstance(error, Exception):
                what = f"{type(error).__name__}: {error}"
                message = f"{launch.service.id} was ended again, since it cannot be kept: {what}"
                raise RuntimeFailure("StartFailed", message) from error
            raise

    def _enter(
        self, launch: Launch, endpoint: Endpoint, child: subprocess.Popen[bytes], log_start: int
    ) -> Running:
        """Limits what was just started, and writes down what it is."""
        host = self._host
        limits = host.limiter.apply(launch.instance, child.pid, launch.service.manifest.resources)
        stat = read_stat(child.pid)
        record = Record(
            instance=launch.instance,
            service=launch.service,
            slot=launch.slot,
            endpoint=endpoint,
            boot=host.boot,
            started_at=time.time(),
            pid=child.pid,
            start=stat.start if stat else 0,
            unenforced=tuple(limits),
            token=launch.identity.get("token", ""),
            log_start=log_start,
        )
        return host.watch(_write(host.records, record), family_of(record), child)

    async def stop(self, running: Running, *, force: bool = False) -> None:
        handle = self._host.handles.get(running.instance)
        if handle is None:
            return
        self._host.look_again(handle)
        number = signal.SIGKILL if force else signal.Signals[running.service.manifest.stop.signal]
        _signal_group(handle, number)
        if force:
            self._host.limiter.kill(running.instance)

    async def wait(self, running: Running) -> Exit:
        handle = self._host.handles.get(running.instance)
        if handle is None:
            return Exit()
        if handle.pidfd >= 0:
            await anyio.wait_readable(handle.pidfd)
        # While the leader is a zombie its number cannot be taken by another group.
        if handle.child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
        exit = _reap(handle)
        await self._host.clear(handle.family, adopted=handle.child is None)
        self._host.release(handle)
        return replace(exit, said=self._last_words(handle, exit))

    def _last_words(self, handle: Handle, exit: Exit) -> str:
        if exit.success or exit.signal in last_words.FROM_OUTSIDE:
            return ""
        running = handle.running
        log = log_file(self._host.paths, running.service.id)
        return last_words.last_words(log, handle.log_start, {running.token})


def _keep_to_ourselves() -> None:
    """Services inherit no descriptor that whoever started the node left open in it."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2:
                os.set_inheritable(int(name), False)


def to_running(record: Record) -> Running:
    """The instance that a record describes."""
    return Running(
        instance=record.instance,
        service=record.service,
        slot=record.slot,
        pid=record.pid,
        endpoint=record.endpoint,
        started_at=record.started_at,
        unenforced=record.unenforced,
        token=record.token,
    )


def _choose_endpoint(launch: Launch, paths: Paths) -> Endpoint:
    port = launch.service.manifest.port
    if port is None:
        return Endpoint(socket=os.fspath(paths.socket(launch.instance)))
    if port == "auto":
        return Endpoint(port=free_port())
    require_free(port)
    return Endpoint(port=port)


def _make_folders(service_id: str, paths: Paths) -> None:
    for folder in (paths.data(service_id) / "tmp", paths.logs(service_id)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(records: Records, record: Record) -> Record:
    """A full disk does not keep a service from running: its mark is enough to find it again."""
    try:
        records.write(record)
    except OSError as error:
        note = f"its record could not be written: {error.strerror or error}"
        return replace(record, unenforced=(*record.unenforced, note))
    return record


def _spawn(
    instance: str,
    line: list[str],
    program: Program,
    environment: dict[str, str],
    paths: Paths,
    service_id: str,
) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and the size that its log had before. Raises OSError; then nothing was started."""
    log = os.open(log_file(paths, service_id), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(log).st_size
        child = TABLE.spawn(
            instance, line,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=program.cwd,
        )  # fmt: skip
        return child, size
    finally:
        os.close(log)


def log_file(paths: Paths, service_id: str) -> str:
    """Where a service's output goes."""
    return os.fspath(paths.logs(service_id) / "service.log")


def _cannot_start(launch: Launch, error: OSError) -> RuntimeFailure:
    where = f": {error.filename}" if error.filename else ""
    hint = "a script needs a first line such as #!/bin/sh" if error.errno == errno.ENOEXEC else ""
    message = f"{launch.service.id} cannot be started: {error.strerror or error}{where}"
    return RuntimeFailure("StartFailed", message, hint=hint)


def _signal_group(handle: Handle, number: signal.Signals) -> None:
    """To the whole group, but only while its leader lives: its number could be another's after that."""
    if handle.pidfd < 0:
        return
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(handle.pidfd, 0)
        os.killpg(handle.running.pid, number)


def _reap(handle: Handle) -> Exit:
    """The status of our own child; of an adopted process nobody can tell it."""
    if handle.child is None:
        return Exit()
    code = handle.child.wait()
    return Exit(signal=-code) if code < 0 else Exit(code=code)
