"""The request to start a program until its first instruction, and until the first line of a Python; memory.

The runtime is asked, as the reconciler asks it, in this process: the rest of a node is the same for all.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from runtimes.packages.native import NativePreparer
from runtimes.processes.process import ProcessHost, ProcessRuntime
from tests.bench.beacons import Beacons
from tests.bench.hyper.results import Result
from tests.bench.processes import children_of, proportional_memory
from tests.bench.sandbox.levels import LEVELS, PLACE, beside, manifest
from tests.runtimes.factories import launch, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from manifests.model.service import Service
    from runtimes.base import Running

_PYTHON = (
    "import socket, time; "
    "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'python -', {address!r}); time.sleep(1000)"
)
#: Milliseconds that a sandbox may add.
_MORE = {"private": "10 ms", "strict": "10 ms"}


def measure(rounds: int) -> list[Result]:
    """In turn, after one start of each that does not count: caches fill, a helper starts."""
    return list(_measure(rounds))


def _measure(rounds: int) -> Iterator[Result]:
    beacons = Beacons(PLACE)
    interpreter = os.path.realpath(sys.executable)
    programs = {
        "start → first instruction": (beacons.command("program"), [str(beacons.folder)]),
        "start → first line of a Python": (
            [interpreter, "-I", "-S", "-c", _PYTHON.format(address=beacons.address)],
            [str(beacons.folder), sys.base_prefix],
        ),
    }
    try:
        for what, (command, shown) in programs.items():
            taken = anyio.run(_starts, beacons, command, shown, rounds)
            yield from beside(what, taken, {}, _MORE if "instruction" in what else {})
        yield from anyio.run(_memory, beacons)
    finally:
        beacons.close()


@asynccontextmanager
async def _runtime() -> AsyncIterator[ProcessRuntime]:
    home = make_home()
    paths = make_paths(home)
    host = ProcessHost(paths)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.run)
            await host.recover()
            yield ProcessRuntime("process", NativePreparer(paths), host)
            tasks.cancel_scope.cancel()
    finally:
        host.close()
        for folder in (paths.run, home):
            shutil.rmtree(folder, ignore_errors=True)


async def _starts(
    beacons: Beacons, command: Sequence[str], shown: Sequence[str], rounds: int
) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    async with _runtime() as runtime:
        for number in range(rounds + 1):
            for level in LEVELS:
                of = _service(level, command, shown)
                begin = time.perf_counter()
                running = await runtime.start(launch(of, f"{level}{number}"))
                message = await anyio.to_thread.run_sync(beacons.receive)
                taken[level].append(message.at - begin)
                await _end(runtime, running)
    return {level: each[1:] for level, each in taken.items()}


async def _memory(beacons: Beacons) -> list[Result]:
    """Of the processes around the program, while another one's share their pages."""
    results = []
    async with _runtime() as runtime:
        for level in LEVELS[1:]:
            of = _service(level, beacons.command("program"), [str(beacons.folder)])
            two = [await runtime.start(launch(of, f"{level}{number}")) for number in range(2)]
            for _ in two:
                await anyio.to_thread.run_sync(beacons.receive)
            around = [two[0].pid, *children_of(two[0].pid)]
            taken = proportional_memory(around)
            results.append(Result(f"memory around a program, {level}", f"{taken:.1f} MiB", "—", taken))
            for running in two:
                await _end(runtime, running)
    return results


def _service(level: str, command: Sequence[str], shown: Sequence[str]) -> Service:
    return service(**{**manifest("bench", level, command, shown), "service_id": "bench"})


async def _end(runtime: ProcessRuntime, running: Running) -> None:
    await runtime.stop(running, force=True)
    await runtime.wait(running)
