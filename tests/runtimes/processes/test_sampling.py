"""What takes more than it may is ended where no cgroup keeps it from that, whatever it does to hide."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.spec import Resources
from runtimes.processes import sampling
from runtimes.processes.sampling import Sampler, Usage, exceeds
from tests.runtimes.factories import alive, marked

if TYPE_CHECKING:
    from runtimes.base import Exit, Running
    from tests.runtimes.processes.benches import Bench

pytestmark = pytest.mark.anyio

#: Three processes that have 60 MiB each, of which none is beyond what all together may have.
_FAMILY = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        break
    os.fork() or os.setsid()
x = bytearray(60 * 2**20)
open(os.environ["ATEK_DATA_DIR"] + f"/ate-{os.getpid()}", "w")
time.sleep(1000)
"""
_THREADS = """
import os, threading, time
for _ in range(40):
    threading.Thread(target=time.sleep, args=(1000,)).start()
open(os.environ["ATEK_DATA_DIR"] + "/ate-threads", "w")
"""
#: Its children forget whose they are, as far as a process can; none of them forks on.
_HIDDEN = """
import os, resource, time
resource.setrlimit(10, (0, resource.getrlimit(10)[1]))
for number in range(40):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
open(os.environ["ATEK_DATA_DIR"] + "/ate-hidden", "w")
time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("usage", "looks", "reason"),
    [
        (Usage(100, 10), 9, ""),
        (Usage(101, 0), 1, ""),
        (Usage(101, 0), 2, "OOMKilled"),
        (Usage(126, 0), 1, "OOMKilled"),
        (Usage(0, 11), 0, "PidsExceeded"),
    ],
)
def test_memory_may_be_beyond_its_limit_for_a_moment_and_processes_may_not(
    usage: Usage, looks: int, reason: str
) -> None:
    found = exceeds(usage, Resources.model_validate({"memory": 100, "pids": 10}), looks)
    assert (found.reason if found else "") == reason
    assert exceeds(usage, Resources(), looks) is None


async def _eats(bench: Bench, code: str, ready: int, **resources: Any) -> Running:
    running = await bench.start(sys.executable, "-c", code, resources=resources)
    with anyio.fail_after(15):
        while len(list((bench.home / "data/app").glob("ate-*"))) < ready:
            await anyio.sleep(0.01)
    return running


async def _end(bench: Bench, running: Running) -> Exit:
    with anyio.fail_after(15):
        return await bench.runtime.wait(running)


async def test_all_processes_together_have_the_memory_of_one(bench: Bench) -> None:
    running = await _eats(bench, _FAMILY, 3, memory="100Mi")
    sampler = Sampler(bench.hosts[-1])
    sampler.look(10_000)
    exit = await _end(bench, running)
    assert str(exit).startswith("OOMKilled: killed by signal 9")
    assert "MiB of memory, and may have 100" in exit.said
    assert not any(map(alive, marked(bench.paths)))


async def test_what_has_enough_is_let_alone(bench: Bench) -> None:
    running = await _eats(bench, _FAMILY, 3, memory="1Gi", pids=4000)
    sampler = Sampler(bench.hosts[-1])
    for _ in range(3):
        sampler.look(10_000)
    assert alive(running.pid)
    await bench.runtime.stop(running, force=True)
    await bench.finish(running)


async def test_threads_count_and_are_looked_at_only_where_there_are_enough(bench: Bench) -> None:
    running = await _eats(bench, _THREADS, 1, pids=30)
    sampler = Sampler(bench.hosts[-1])
    sampler.look(29)
    assert bench.hosts[-1].handles[running.instance].excess is None
    sampler.look(31)
    exit = await _end(bench, running)
    assert exit.why == "PidsExceeded" and exit.said == "it had 41 processes and threads, and may have 30"


async def test_who_hides_is_found_and_ended_with_all_that_it_forked(bench: Bench) -> None:
    """It lays down the seal, its session and its parents; its environment and its log it cannot."""
    running = await _eats(bench, _HIDDEN, 1, pids=30)
    Sampler(bench.hosts[-1]).look(10_000)
    exit = await _end(bench, running)
    assert exit.why == "PidsExceeded"
    assert not any(map(alive, marked(bench.paths)))


async def test_a_bomb_is_seen_long_before_the_next_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "GLANCE", 0.01)
    monkeypatch.setattr(sampling, "SAMPLING_PERIOD", 1000.0)
    running = await _eats(bench, _THREADS, 1, pids=30)
    counts = iter([100, 200, 300])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Sampler(bench.hosts[-1], lambda: next(counts, 1000)).run)
        exit = await _end(bench, running)
        tasks.cancel_scope.cancel()
    assert exit.why == "PidsExceeded"
