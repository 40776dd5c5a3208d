"""Everything that this process starts: sealed from its first instruction on, known, ended with all it forks.

A process has one set of resource limits and one list of children; so there is one table of them here, and one
lock, which keeps a thread from forking while another start's seal is on. Who is a child without being in the
table, and carries a seal, is an orphan of a service or a tool: nobody waits for it but the node.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import anyio

from runtimes.processes import marks
from runtimes.processes.leftovers import end_all, reap_child
from runtimes.processes.ownership import Seen
from runtimes.processes.proc import children, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

#: Seconds that the output of a tool which has ended may take to be read, and the kernel to end it.
_END_DEADLINE = 5.0
_CHUNK = 65536
_PR_SET_NO_NEW_PRIVS = 38
#: What a shell that puts a job into the background may have set to be ignored, and stops who does not.
_JOB_CONTROL = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class NotStarted(OSError):
    """A command cannot be started; what goes wrong later is another OSError."""


class Table:
    """What this process has started and still waits for: process → name of its family."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[int, str] = {}
        self._numbers = itertools.count()
        self._ignored: list[signal.Signals] = []
        self._sealing = False
        self._unprivileged: ThreadPoolExecutor | None = None
        #: The run directory of the node that this process is; nobody's, until `become` was called.
        self.node = f"process {os.getpid()}"

    def become(self, node: str) -> None:
        """This process is that node. What whoever started it left behind in it does not reach its services.

        A signal that is ignored would be ignored by every program: one with a handler has its usual effect
        there again (execve(2)). Only in the main thread.
        """
        self.node = node
        self._sealing = marks.put_on(self.own_seal)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._ignored = []
        for number in signal.valid_signals():
            if signal.getsignal(number) is not signal.SIG_IGN or number in (signal.SIGPIPE, signal.SIGXFSZ):
                # Those two are Python's own doing, which Popen takes back.
                continue
            if number in _JOB_CONTROL:
                # With a handler a terminal would ask for ever; these are given back for each start.
                self._ignored.append(signal.Signals(number))
            else:
                signal.signal(number, _nothing)

    @property
    def own_seal(self) -> int:
        """Of what this process starts in passing."""
        return marks.seal(self.node, "")

    @property
    def knows_orphans(self) -> bool:
        """Whether a child without a seal can only be an orphan of what it started.

        The first process of a container is given everybody's.
        """
        return self._sealing and os.getpid() != 1

    def seal(self, name: str) -> int:
        return marks.seal(self.node, name)

    def spawn(
        self,
        name: str,
        line: Sequence[str],
        *,
        inherited: Sequence[int] = (),
        unprivileged: bool = False,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Starts a family and enters it into the table. Raises OSError; then nothing was started.

        `inherited` are descriptors that it gets besides its input and output. `unprivileged`: nothing that it
        executes ever gives it more rights (PR_SET_NO_NEW_PRIVS).
        """
        start = self._without_new_rights if unprivileged else subprocess.Popen
        with self._lock, marks.sealed(self.seal(name)), self._usual_signals(), _inheritable(inherited):
            # Nothing of ours is inheritable (PEP 446, and see ProcessHost); looking at each descriptor in the
            # child would make a start dearer with every service that runs.
            process: subprocess.Popen[bytes] = start(line, start_new_session=True, close_fds=False, **options)
            self._names[process.pid] = name
        return process

    def _without_new_rights(self, line: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """The mark is a thread's, for good, and its children get it: so one thread has it and starts them."""
        if self._unprivileged is None:
            self._unprivileged = ThreadPoolExecutor(1, "unprivileged", initializer=_renounce)

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(line, **options)

        return self._unprivileged.submit(start).result()

    def run(self, line: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None) -> str:
        """What a short command prints. For threads. Raises OSError or subprocess.SubprocessError."""
        code, printed = self.ended(line, timeout=timeout, env=env, errors=subprocess.DEVNULL)
        if code != 0:
            raise subprocess.CalledProcessError(code, line)
        return printed

    def ended(
        self, line: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, errors: int
    ) -> tuple[int, str]:
        """The status of a short command, and what it printed; `errors`: where what it complains goes.

        For threads. Raises OSError or subprocess.TimeoutExpired.
        """
        process = self.spawn(
            self.new_name(), line, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=timeout)
        finally:
            self._kill_group(process)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            self.forget(process.pid)
        return process.returncode, printed.decode("utf-8", "replace")

    def new_name(self) -> str:
        """For a tool or a probe; no instance has it."""
        return f"run {os.getpid()} {next(self._numbers)}"

    def forget(self, pid: int) -> None:
        """It was waited for."""
        self._names.pop(pid, None)

    def names(self) -> Mapping[int, str]:
        return self._names

    def orphans(self) -> list[int]:
        """Children that this process never started, with those that are started where nobody enters them."""
        return [pid for pid in children() if pid not in self._names]

    def reap_orphans(self) -> list[int]:
        """Lets dead orphans go; returns the other dead children, for whom somebody may be about to wait."""
        unsure = []
        for pid in self.orphans():
            stat = read_stat(pid)
            if stat is None or not stat.dead:
                continue
            seal = marks.seal_of(pid)
            if marks.is_of_node(seal, self.node) and seal != self.own_seal:
                reap_child(pid)
            else:
                unsure.append(pid)
        return unsure

    async def execute(
        self,
        line: Sequence[str],
        *,
        on_output: Callable[[bytes], None] | None = None,
        on_errors: Callable[[bytes], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: int = subprocess.DEVNULL,
        inherited: Sequence[int] = (),
        **options: Any,
    ) -> int:
        """Runs a command to its end and returns its status; all that it forked has ended then as well.

        `on_output` gets its output as it comes, with its errors unless there is an `on_errors`. `on_start`
        gets its process, and may limit it. Cancelled, or when one of them raises, it is ended. Raises
        NotStarted.
        """
        name = self.new_name()
        try:
            process = self.spawn(
                name, line, inherited=inherited, env=env, cwd=cwd, bufsize=0, **options,
                stdin=stdin,
                stdout=subprocess.PIPE if on_output else subprocess.DEVNULL,
                stderr=subprocess.PIPE if on_errors else subprocess.STDOUT,
            )  # fmt: skip
        except OSError as error:
            raise NotStarted(error.errno, error.strerror, error.filename) from error
        try:
            if on_start is not None:
                on_start(process.pid)
            await self._listen(name, process, on_output, on_errors)
        finally:
            code = await self._end(name, process)
        return code

    async def _listen(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        on_output: Callable[[bytes], None] | None,
        on_errors: Callable[[bytes], None] | None,
    ) -> None:
        """Until it has ended, and what it said is heard."""
        failures: list[Exception] = []

        async def listen(stream: IO[bytes], to: Callable[[bytes], None]) -> None:
            try:
                await _pump(stream, to)
            except Exception as failure:
                failures.append(failure)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for stream, to in ((process.stdout, on_output), (process.stderr, on_errors)):
                if stream is not None and to is not None:
                    tasks.start_soon(listen, stream, to)
            try:
                await _ended(process)
            except OSError as failure:
                failures.append(failure)
            # A daemon that it left may hold the other end of the pipe for ever.
            await self._end_forked(name, process)
            tasks.cancel_scope.deadline = anyio.current_time() + _END_DEADLINE
        if failures:
            raise failures[0]

    async def _end(self, name: str, process: subprocess.Popen[bytes]) -> int:
        with anyio.CancelScope(shield=True):
            await self._end_forked(name, process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        code = process.poll()
        self.forget(process.pid)
        return -signal.SIGKILL if code is None else code

    async def _end_forked(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._kill_group(process)
        # A process that dies takes its time, and only then its children are this one's.
        with anyio.move_on_after(_END_DEADLINE), suppress(OSError):
            await _ended(process)
        await end_all(lambda: self._sealed_orphans(self.seal(name)))

    def _sealed_orphans(self, seal: int) -> list[Seen]:
        found = []
        for pid in self.orphans():
            stat = read_stat(pid)
            if stat is not None and marks.seal_of(pid) == seal:
                found.append(Seen(pid, stat.start, stat.parent, stat.group, stat.session, stat.dead, seal))
        return found

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        """Only while nobody has waited for its leader: its number could be another's after that."""
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    @contextmanager
    def _usual_signals(self) -> Iterator[None]:
        ignored = self._ignored if threading.current_thread() is threading.main_thread() else []
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        try:
            yield
        finally:
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)


#: This process's.
TABLE = Table()


@contextmanager
def _inheritable(descriptors: Sequence[int]) -> Iterator[None]:
    """For the moment of a start, in which nothing else is started."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)


def _renounce() -> None:
    """Raises OSError; then nothing is started by this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "a program cannot be kept from getting more rights")


def _nothing(number: int, frame: object) -> None:
    """What was ignored is ignored."""


async def _ended(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        pidfd = os.pidfd_open(process.pid)
        try:
            await anyio.wait_readable(pidfd)
        finally:
            os.close(pidfd)


async def _pump(stream: IO[bytes], to: Callable[[bytes], None]) -> None:
    descriptor = stream.fileno()
    os.set_blocking(descriptor, False)
    while True:
        await anyio.wait_readable(descriptor)
        with suppress(BlockingIOError):
            if not (chunk := os.read(descriptor, _CHUNK)):
                return
            to(chunk)
