"""Runs programs of this machine as instances, each in a session of its own.

`ProcessRuntime` is one kind of program (native, Node, Python: they differ by their `Preparer`); the
`ProcessHost` is what all kinds of one node share.

No pipe leads from a program to the node, its output goes straight to a file; so a node that dies neither
stalls nor kills it. Its exit is noticed through a pidfd, which works for our own children and for adopted
ones alike.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.model.spec import signal_number
from runtimes.base import Endpoint, Exit, Kept, Running, RuntimeFailure, known_secrets
from runtimes.data.stateful import look
from runtimes.processes.children import TABLE
from runtimes.processes.confined import exit_of, guest_of, read_status, signal_program
from runtimes.processes.connected import connect, network_of, variables_of
from runtimes.processes.environment import command_line, service_environment
from runtimes.processes.exec_errors import explain
from runtimes.processes.executable import head_of, with_interpreters
from runtimes.processes.host import Handle, ProcessHost
from runtimes.processes.limits import allow_core_dumps
from runtimes.processes.ports import free_port, require_free
from runtimes.processes.proc import read_stat
from runtimes.processes.records import Record, Records
from runtimes.processes.recovery import family_of
from runtimes.processes.sampling import OUT_OF_MEMORY
from runtimes.processes.termination_message import FROM_OUTSIDE, termination_message
from runtimes.sandbox.confinement import confinement_of
from runtimes.users.ways import require_reachable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Launch, Progress
    from runtimes.paths import Paths
    from runtimes.preparer import Preparer, Program
    from runtimes.processes.settling import Settled
    from runtimes.sandbox.enclosure import Enclosed


__all__ = ["ProcessHost", "ProcessRuntime"]

#: Of a file with a secret: its service reads it, and nobody writes it.
_SECRET_MODE = 0o400


@dataclass(frozen=True, slots=True)
class _Start:
    """Everything about a start but the process. `line` is the program, `executed` what runs it."""

    program: Program
    endpoint: Endpoint
    environment: dict[str, str]
    line: list[str]
    executed: list[str]
    settled: Settled
    sandbox: str
    unconfined: str
    enclosed: Enclosed | None


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
        ours = [running for running in found if running.service.runtime == self._name]
        for running in ours:
            self._preparer.adopt(running.service)
        return ours

    async def prepare(self, service: Service, progress: Progress) -> None:
        await self._preparer.prepare(service, progress)

    async def retain(
        self, service_id: str, keep: Collection[Service], holder: Service | None
    ) -> Sequence[str]:
        return await self._preparer.retain(service_id, keep, holder)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        await self._preparer.collect(service_id, keep)

    async def purge(self) -> None:
        await self._preparer.purge()

    async def kept(self, service: Service) -> Kept:
        copy = self._preparer.copy(service)
        return await anyio.to_thread.run_sync(look, self._host.paths, service, copy)

    async def prewarm(self, service: Service) -> None:
        await self._preparer.prewarm(service)

    async def start(self, launch: Launch) -> Running:
        host, paths = self._host, self._host.paths
        await host.strays.gone(launch.service.id)
        await self._populate(launch)
        try:
            start = await self._get_ready(launch)
        except BaseException as error:
            host.forget(launch.instance, 0)
            if isinstance(error, OSError):
                raise _cannot_start(launch, error) from error
            raise
        child = None
        try:
            # From here on something may run: whatever happens, it is known or it is ended.
            child, log_start = _spawn(launch, start, paths)
            running = self._enter(launch, start, child, log_start)
            if start.enclosed is not None:
                start.enclosed.begin()
                await self._connect(running, start.enclosed)
            return running
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await host.abandon(launch, child)
            if isinstance(error, OSError) and child is None:
                raise _refused(start.line[0], error) or _cannot_start(launch, error) from error
            if isinstance(error, Exception):
                what = f"{type(error).__name__}: {error}"
                message = f"{launch.service.id} was ended again, since it cannot be kept: {what}"
                raise RuntimeFailure("StartFailed", message) from error
            raise
        finally:
            if start.enclosed is not None:
                start.enclosed.close()

    async def _connect(self, running: Running, enclosed: Enclosed) -> None:
        """A program in a strict sandbox waits for its network."""
        if (gate := enclosed.gate) is not None:
            host = self._host
            await connect(host.networks, host.paths, running, await gate.first_process())
            gate.open()

    async def _get_ready(self, launch: Launch) -> _Start:
        """Everything that can be known before something runs. Raises RuntimeFailure or OSError."""
        host, paths, service = self._host, self._host.paths, launch.service
        wanted = confinement_of(service, host.sandbox)
        level, unconfined = await host.sandboxes.level(wanted)
        program = self._preparer.program(service)
        _make_folders(service.id, paths, sandboxed=level != "none")
        settled = await host.settle(launch, self._preparer.copy(service))
        if level != "none":
            settled = replace(settled, socket=paths.own_socket(launch.instance))
            paths.sockets(launch.instance).mkdir(mode=0o700, exist_ok=True)
        endpoint = _choose_endpoint(service, settled.socket)
        files = host.memory.write(launch.instance, launch.secrets.files, _SECRET_MODE, settled.owner)
        inside = network_of(service) if level == "strict" else None
        environment = service_environment(
            launch, endpoint, program, paths, files, socket=settled.socket, user=settled.variables,
            inside=variables_of(inside, paths.gateway(launch.instance)),
        )  # fmt: skip
        line = executed = command_line(launch, program, environment)
        if settled.user is not None:
            require_reachable(with_interpreters(line[0]), settled.user.uid, service.id)
        settled.socket.unlink(missing_ok=True)
        enclosed = None
        if level != "none":
            guest = guest_of(launch, line, environment, program, paths, files, settled.user, inside)
            enclosed = host.sandboxes.enclose(guest, wanted)
            executed = enclosed.line
        executed = host.limited_line(executed, service, settled)
        return _Start(program, endpoint, environment, line, executed, settled, level, unconfined, enclosed)

    async def _populate(self, launch: Launch) -> None:
        """Not while another instance runs in the same copy: it has all that there is."""
        place = self._preparer.copy(launch.service)
        if place is None or (launch.holder is None and not self._host.paths.kept(launch.service.id).exists()):
            return
        running = [handle.running.service for handle in self._host.handles.values()]
        if all(self._preparer.copy(one) != place for one in running if one.id == launch.service.id):
            await self._preparer.populate(launch.service, launch.holder)

    def _enter(
        self,
        launch: Launch,
        start: _Start,
        child: subprocess.Popen[bytes],
        log_start: int,
    ) -> Running:
        """Limits what was just started, and writes down what it is."""
        host = self._host
        limits = host.limit(launch.service, start.settled, launch.instance, child.pid)
        if not launch.secrets:
            allow_core_dumps(child.pid, host.core_limit)
        stat = read_stat(child.pid)
        record = Record(
            instance=launch.instance,
            service=launch.service,
            slot=launch.slot,
            endpoint=start.endpoint,
            boot=host.boot,
            started_at=time.time(),
            pid=child.pid,
            start=stat.start if stat else 0,
            unenforced=tuple(limits),
            token=launch.identity.get("token", ""),
            router_token=launch.identity.get("routerToken", ""),
            log_start=log_start,
            sandbox=start.sandbox,
            unconfined=start.unconfined,
        )
        running = host.watch(_write(host.records, record), family_of(record), child)
        handle = host.handles[running.instance]
        handle.started_in, handle.hidden = (start.environment, start.program.cwd), launch.secrets.words
        return running

    async def stop(self, running: Running, *, force: bool = False) -> None:
        handle = self._host.handles.get(running.instance)
        if handle is None:
            return
        self._host.look_again(handle)
        handle.asked = True
        number = signal.SIGKILL if force else signal_number(running.service.manifest.stop.signal)
        self._signal(handle, number)
        if force:
            handle.forced.set()
            self._host.limiter.kill(running.instance)

    def _signal(self, handle: Handle, number: int) -> None:
        """To all of it, but only while its leader lives: its number could be another's after that."""
        running = handle.running
        if handle.pidfd < 0:
            return
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(handle.pidfd, 0)
            if running.sandbox == "none" or number == signal.SIGKILL:
                os.killpg(running.pid, number)
            else:
                signal_program(running.pid, number, self._host.paths.exit_status(running.instance))

    async def wait(self, running: Running) -> Exit:
        handle = self._host.handles.get(running.instance)
        if handle is None:
            return Exit()
        if handle.pidfd >= 0:
            await anyio.wait_readable(handle.pidfd)
        if handle.asked and not handle.forced.is_set():
            await self._let_end(handle)
        # While the leader is a zombie its number cannot be taken by another group.
        if handle.child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
        exit = self._reap(handle)
        starved = not handle.asked and self._host.limiter.out_of_memory(running.instance)
        await self._host.clear(handle.family, adopted=handle.child is None)
        self._host.release(handle)
        if handle.excess is not None:
            return replace(exit, why=handle.excess.reason, said=handle.excess.message)
        why = OUT_OF_MEMORY if starved and not exit.success else exit.why
        return replace(exit, why=why, said=self._termination_message(handle, exit))

    async def _let_end(self, handle: Handle) -> None:
        """What was asked to end has the same time for it, whichever of its processes ends first."""
        async with anyio.create_task_group() as tasks:

            async def until_forced() -> None:
                await handle.forced.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_forced)
            await self._host.let_end(handle)
            tasks.cancel_scope.cancel()

    def _reap(self, handle: Handle) -> Exit:
        """The status of our own child; of an adopted one nobody can tell, unless it was written down."""
        code = None if handle.child is None else handle.child.wait()
        running = handle.running
        if running.sandbox != "none":
            exit = exit_of(read_status(self._host.paths.exit_status(running.instance)), code)
            if exit.why:
                self._host.sandboxes.failed()
            return exit
        if code is None:
            return Exit()
        return Exit(signal=-code) if code < 0 else Exit(code=code)

    def _termination_message(self, handle: Handle, exit: Exit) -> str:
        if exit.success or exit.signal in FROM_OUTSIDE:
            return ""
        running = handle.running
        log = log_file(self._host.paths, running.service.id)
        hidden = handle.hidden or known_secrets(running.service, self._host.open_secrets).words
        return termination_message(log, handle.log_start, {running.token, running.router_token, *hidden})


def _choose_endpoint(service: Service, socket: Path) -> Endpoint:
    port = service.manifest.port
    if port is None:
        return Endpoint(socket=os.fspath(socket))
    if port == "auto":
        return Endpoint(port=free_port())
    require_free(port)
    return Endpoint(port=port)


def _make_folders(service_id: str, paths: Paths, *, sandboxed: bool) -> None:
    data = paths.data(service_id)
    # What stands for the data folder of a sandboxed one is looked at first (runtimes.sandbox.enclosure).
    for folder in (data, *(() if sandboxed else (data / "tmp",)), paths.logs(service_id)):
        if not folder.is_dir() and not (sandboxed and folder.is_symlink()):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(records: Records, record: Record) -> Record:
    """A full disk does not keep a service from running: its mark is enough to find it again."""
    try:
        records.write(record)
    except OSError as error:
        note = f"its record could not be written: {error.strerror or error}"
        return replace(record, unenforced=(*record.unenforced, note))
    return record


def _spawn(launch: Launch, start: _Start, paths: Paths) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and the size that its log had before. Raises OSError; then nothing was started."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open(log_file(paths, launch.service.id), flags, 0o600)
    try:
        size = os.fstat(log).st_size
        if start.settled.owner is not None:
            # So that it can be opened by the name of /dev/stdout, too.
            os.fchown(log, *start.settled.owner)
        child = TABLE.spawn(
            launch.instance, start.executed,
            inherited=() if start.enclosed is None else start.enclosed.inherited,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=start.environment, cwd=start.program.cwd,
            **start.settled.options,
        )  # fmt: skip
        return child, size
    finally:
        os.close(log)


def log_file(paths: Paths, service_id: str) -> str:
    """Where a service's output goes."""
    return os.fspath(paths.logs(service_id) / "service.log")


def _cannot_start(launch: Launch, error: OSError) -> RuntimeFailure:
    where = f": {error.filename}" if error.filename else ""
    message = f"{launch.service.id} cannot be started: {error.strerror or error}{where}"
    return RuntimeFailure("StartFailed", message)


def _refused(path: str, error: OSError) -> RuntimeFailure | None:
    """What the kernel has against this program; None for anything else."""
    if error.filename != path or error.errno is None:
        return None
    return explain(error.errno, path, head_of(path))
