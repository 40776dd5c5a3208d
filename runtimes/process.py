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
from typing import TYPE_CHECKING

import anyio

from runtimes.base import Endpoint, Exit, Running, RuntimeFailure
from runtimes.environment import command_line, service_environment
from runtimes.leftovers import Leftovers
from runtimes.limits import make_limiter
from runtimes.ports import free_port, require_free
from runtimes.proc import boot_id, read_stat
from runtimes.records import Record, Records
from runtimes.recovery import recover

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from manifests.service import Service
    from runtimes.base import Launch, Progress
    from runtimes.paths import Paths
    from runtimes.preparer import Preparer, Program

#: prctl(2): orphaned descendants become children of this process, so that none can hide.
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(eq=False, slots=True)
class Handle:
    """One live instance. `child` is None when an earlier life of the node started it."""

    running: Running
    pidfd: int
    child: subprocess.Popen[bytes] | None = None


class ProcessHost:
    """Everything about the processes of one node that is not particular to one kind of program."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.records = Records(paths.records)
        self.limiter = make_limiter()
        self.handles: dict[str, Handle] = {}
        self.boot = boot_id()
        self.leftovers = Leftovers(paths.run, self._is_leader)
        self._leaders: set[int] = set()
        self._recovered = False
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _keep_to_ourselves()

    async def recover(self) -> None:
        """Finds, once, what earlier lives of this node left running. Raises RuntimeFailure."""
        if self._recovered:
            return
        try:
            for record in await recover(self.records, self.paths, self.boot):
                self.watch(to_running(record), None)
        except OSError as error:
            raise RuntimeFailure(
                "Unobservable",
                f"cannot see what runs: {error.strerror or error}: {error.filename}",
                hint="the node needs to read /proc and its state directory",
            ) from error
        self._recovered = True

    def watch(self, running: Running, child: subprocess.Popen[bytes] | None) -> None:
        """Takes an instance into the table. One that has ended already gets a handle all the same."""
        try:
            pidfd = os.pidfd_open(running.pid)
        except ProcessLookupError:
            pidfd = -1
        self.handles[running.instance] = Handle(running, pidfd, child)
        self._leaders.add(running.pid)

    def release(self, handle: Handle) -> None:
        """Forgets an instance that has ended, and what was kept for it."""
        if handle.pidfd >= 0:
            os.close(handle.pidfd)
        instance = handle.running.instance
        self.handles.pop(instance, None)
        self._leaders.discard(handle.running.pid)
        self.records.remove(instance)
        self.limiter.remove(instance)
        with suppress(OSError):
            self.paths.socket(instance).unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of all instances without touching them; the next life of the node adopts them."""
        for handle in self.handles.values():
            if handle.pidfd >= 0:
                os.close(handle.pidfd)
            if handle.child is not None:
                # Popen warns about children that nobody waited for; here that is the intention.
                handle.child.returncode = 0
        self.handles.clear()

    def _is_leader(self, pid: int) -> bool:
        return pid in self._leaders


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

    async def start(self, launch: Launch) -> Running:
        host, paths = self._host, self._host.paths
        try:
            program = self._preparer.program(launch.service)
            endpoint = _choose_endpoint(launch, paths)
            environment = service_environment(launch, endpoint, program, paths)
            _make_folders(launch.service.id, paths)
            line = command_line(launch, program, environment)
            paths.socket(launch.instance).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_start(launch, error) from error
        try:
            child = _spawn(line, program, environment, paths, launch.service.id)
        except OSError as error:
            raise _cannot_start(launch, error) from error
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
        )
        record = _write(host.records, record)
        running = to_running(record)
        host.watch(running, child)
        return running

    async def stop(self, running: Running, *, force: bool = False) -> None:
        handle = self._host.handles.get(running.instance)
        if handle is None:
            return
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
        self._host.limiter.kill(running.instance)
        await self._host.leftovers.clear(running, adopted=handle.child is None)
        self._host.release(handle)
        return exit


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
    line: list[str], program: Program, environment: dict[str, str], paths: Paths, service_id: str
) -> subprocess.Popen[bytes]:
    log = os.open(log_file(paths, service_id), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=program.cwd,
            start_new_session=True,
            # Nothing of ours is inheritable (PEP 446, and see ProcessHost); looking at each descriptor in the
            # child would make a start dearer with every service that runs.
            close_fds=False,
        )
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
