"""What an instance leaves behind is known however it hides, and waited for until it has really ended."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.processes import children as children_
from runtimes.processes import leftovers, marks
from runtimes.processes.cgroups import CgroupLimiter
from runtimes.processes.children import TABLE
from runtimes.processes.ownership import Seen
from runtimes.processes.proc import children, read_stat
from tests.runtimes.factories import alive
from tests.runtimes.processes.families import DAEMON, DEAF, LOGGER, UNSEALED, WORKERS, family, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.runtimes.processes.benches import Bench

    Listener = Callable[[bytes], None] | None

pytestmark = pytest.mark.anyio


def _deaf(chunk: bytes) -> None:
    """It does not matter what the tool says."""


HIDERS = [DAEMON, WORKERS, LOGGER]


@pytest.mark.parametrize("body", HIDERS)
@pytest.mark.parametrize("how", ["stop", "crash", "adopted stop", "adopted crash"])
async def test_who_hides_ends_with_its_service(bench: Bench, how: str, body: str) -> None:
    running = await bench.start(*program(body))
    hidden = await family(bench.paths)
    assert hidden and all(alive(pid) for pid in hidden)
    if "adopted" in how:
        (running,) = await bench.next_life().observe()
        assert all(alive(pid) for pid in hidden), "adoption ended what is the service's"
    if "stop" in how:
        await bench.runtime.stop(running)
    else:
        os.kill(running.pid, signal.SIGKILL)
    await bench.finish(running)
    assert not any(alive(pid) for pid in hidden)
    assert not set(children()) & set(hidden), "zombies are left"


@pytest.mark.parametrize(
    ("how", "body"),
    [("stop", DAEMON), ("stop", WORKERS), ("stop", LOGGER),
     ("adopted stop", WORKERS), ("adopted stop", LOGGER), ("adopted crash", WORKERS)],
)  # fmt: skip
async def test_without_seals_the_other_evidence_is_enough(bench: Bench, how: str, body: str) -> None:
    running = await bench.start(*program(UNSEALED + body))
    hidden = await family(bench.paths)
    if "adopted" in how:
        (running,) = await bench.next_life().observe()
    if "stop" in how:
        await bench.runtime.stop(running)
    else:
        os.kill(running.pid, signal.SIGKILL)
    await bench.finish(running)
    assert not any(alive(pid) for pid in hidden)


@pytest.mark.parametrize("adopted", [False, True])
async def test_all_of_a_service_has_the_time_that_its_leader_has(bench: Bench, adopted: bool) -> None:
    """A shell ends at once when it is asked to; the database that it started has to write something first."""
    writes = """
if os.fork() == 0:
    if OWN_SESSION: os.setsid()
    def end(*of):
        time.sleep(0.3)
        open(folder + "/written-%d" % OWN_SESSION, "w").close()
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    say()
    while True: signal.pause()
"""
    body = "".join(writes.replace("OWN_SESSION", str(own)) for own in (0, 1)) + "told(2)\ntime.sleep(1000)\n"
    running = await bench.start(*program(body))
    await family(bench.paths)
    if adopted:
        (running,) = await bench.next_life().observe()
    await bench.runtime.stop(running)
    await bench.finish(running)
    assert {file.name for file in (bench.home / "data/app").glob("written*")} == {"written-0", "written-1"}


async def test_who_does_not_want_to_end_is_ended_when_there_is_no_more_time(bench: Bench) -> None:
    body = "if os.fork() == 0:\n    os.setsid(); " + DEAF.strip().replace("\n", "; ").replace("told(1); ", "")
    running = await bench.start(*program(body + "\ntold(1)\ntime.sleep(1000)\n"))
    (deaf,) = await family(bench.paths)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.finish, running)
        await bench.runtime.stop(running)
        while alive(running.pid):
            await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        assert alive(deaf)
        await bench.runtime.stop(running, force=True)
    assert not alive(deaf)


async def test_what_is_in_its_cgroup_ends_with_a_service(bench: Bench, tmp_path: Path) -> None:
    """A tree of files, since these machines have no cgroup v2 to delegate; nothing obeys its cgroup.kill."""
    bench.hosts[-1].limiter = CgroupLimiter(tmp_path, ())
    # Somebody's child, with no evidence but this.
    code = """import os, resource, subprocess
resource.setrlimit(10, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
child = subprocess.Popen(["sleep", "1000"])
os.write(1, b"%d" % child.pid)
os.write(1, b"%d" % child.wait())"""
    async with await anyio.open_process([sys.executable, "-c", code]) as theirs:
        assert theirs.stdout is not None
        member = int(await theirs.stdout.receive())
        running = await bench.start("sleep", "1000")
        (tmp_path / "i1/cgroup.procs").write_text(f"{running.pid}\n{member}\n")
        await bench.runtime.stop(running)
        await bench.finish(running)
        assert (tmp_path / "i1/cgroup.kill").read_text() == "1"
        with anyio.fail_after(10):
            assert int(await theirs.stdout.receive()) == -signal.SIGTERM


async def test_a_seal_is_seen_where_limits_may_not_be_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container without CAP_SYS_RESOURCE, of a service that has become another user."""
    running = await bench.start(*program(DAEMON))
    (hidden,) = await family(bench.paths)
    seal = marks.seal_of(hidden)

    def refuse(*of: object) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "prlimit", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert marks.seal_of(hidden) == seal > 0
    assert marks.seal_of(running.pid) == seal
    assert marks.seal_of(1) == -1
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert marks.seal_of(hidden) == -1


async def test_what_other_services_hide_is_left_alone(bench: Bench) -> None:
    await bench.start(*program(DAEMON))
    (hidden,) = await family(bench.paths)
    other = await bench.runtime.start(bench.launch("other", "other", *program(DAEMON)))
    (its,) = await family(bench.paths, "other")
    await bench.runtime.stop(other)
    await bench.finish(other)
    assert alive(hidden) and not alive(its)


async def test_orphans_that_die_are_reaped_while_their_service_runs(bench: Bench) -> None:
    makes = """
for _ in range(300):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
say(); told(1)
time.sleep(1000)
"""
    host = bench.hosts[-1]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.run)
        await bench.start(*program(makes))
        await family(bench.paths)
        with anyio.fail_after(20):
            while any(read_stat(pid) and not alive(pid) for pid in TABLE.orphans()):
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_the_reaper_takes_nobody_elses_exit_status(bench: Bench) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.hosts[-1].run)
        async with await anyio.open_process(["sh", "-c", "sleep 0.2; exit 3"]) as theirs:
            assert await TABLE.execute(["sh", "-c", "sleep 0.1; exit 4"]) == 4
            running = await bench.start("sh", "-c", "sleep 0.1; exit 5")
            exit = await bench.runtime.wait(running)
            assert exit.code == 5
            assert await theirs.wait() == 3
        tasks.cancel_scope.cancel()


def test_a_child_that_somebody_is_about_to_wait_for_is_not_reaped() -> None:
    """Started past the table, as a library may."""
    theirs = subprocess.Popen(["sh", "-c", "exit 3"])
    os.waitid(os.P_PID, theirs.pid, os.WEXITED | os.WNOWAIT)
    assert theirs.pid in TABLE.reap_orphans()
    assert theirs.wait() == 3


async def test_what_ends_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes the environment of a killed process first, and its number last."""
    child = await anyio.open_process([sys.executable, "-c", "import time; time.sleep(1000)"])
    told: list[int] = []
    ended = False

    def find() -> list[Seen]:
        stat = read_stat(child.pid)
        return [Seen(child.pid, stat.start, 1, 1, 1)] if stat is not None and not stat.dead else []

    async def clear() -> None:
        nonlocal ended
        await leftovers.end_all(find)
        ended = True
        assert not alive(child.pid), "it was told to be gone while it was there"

    # It takes its time.
    monkeypatch.setattr(leftovers, "send", lambda process, number: told.append(number))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clear)
            while not told:
                await anyio.sleep(0.001)
            await anyio.wait_all_tasks_blocked()
            assert not ended
            child.kill()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def test_a_number_that_is_somebody_elses_by_now_is_not_hit() -> None:
    async with await anyio.open_process(["sleep", "1000"]) as child:
        stat = read_stat(child.pid)
        assert stat is not None
        leftovers.send(Seen(child.pid, stat.start + 1, 1, 1, 1), signal.SIGKILL)
        with anyio.fail_after(10):
            await leftovers.gone(Seen(child.pid, stat.start + 1, 1, 1, 1))
        assert alive(child.pid)
        child.kill()


@pytest.mark.parametrize(("on_output", "on_errors"), [(None, None), (_deaf, None), (_deaf, _deaf)])
async def test_what_a_tool_or_probe_forks_ends_with_it(
    bench: Bench, on_output: Listener, on_errors: Listener
) -> None:
    environment = {**os.environ, "ATEK_DATA_DIR": str(bench.home)}
    body = DAEMON.replace("\ntime.sleep(1000)\n", "\n")
    with anyio.fail_after(20):
        assert (
            await TABLE.execute(program(body), env=environment, on_output=on_output, on_errors=on_errors) == 0
        )
    (hidden,) = map(int, (bench.home / "family").read_text().split())
    assert not alive(hidden)


async def test_a_tool_whose_daemon_holds_its_output_is_over_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(children_, "_END_DEADLINE", 1000.0)
    heard = bytearray()
    with anyio.fail_after(20):
        code = await TABLE.execute(
            ["sh", "-c", "echo said; setsid sleep 1000 & exit 3"], on_output=heard.extend
        )
    assert code == 3 and heard == b"said\n"


#: Giving so much memory back takes a while in which its child is still its own.
DIES_SLOWLY = """
import os, subprocess, time
memory = b"x" * (256 << 20)
helper = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL)
print(helper.pid, flush=True)
time.sleep(1000)
"""


async def test_a_tool_that_dies_slowly_leaves_no_helper() -> None:
    heard = bytearray()

    async def execute() -> None:
        await TABLE.execute([sys.executable, "-c", DIES_SLOWLY], on_output=heard.extend)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute)
        with anyio.fail_after(20):
            while not heard.endswith(b"\n"):
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert not alive(int(heard))


async def test_a_cancelled_or_failing_tool_leaves_nothing(bench: Bench) -> None:
    async def execute(on_start: Callable[[int], None] | None = None) -> None:
        environment = {**os.environ, "ATEK_DATA_DIR": str(bench.home)}
        await TABLE.execute(program(DAEMON), env=environment, on_start=on_start)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute)
        with anyio.fail_after(20):
            while not (bench.home / "family").exists():
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    (hidden,) = map(int, (bench.home / "family").read_text().split())
    assert not alive(hidden)

    started: list[int] = []

    def fail(pid: int) -> None:
        started.append(pid)
        raise RuntimeError("it cannot be limited")

    with pytest.raises(RuntimeError, match="limited"):
        await execute(fail)
    assert started and not alive(started[0])
