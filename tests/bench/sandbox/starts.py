"""The request to start a program until its first instruction, and until the first line of a Python.

The runtime is asked, as the reconciler asks it, in this process: the rest of a node is the same for all.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

import anyio

from runtimes.packages.native import NativePreparer
from runtimes.processes.process import ProcessHost, ProcessRuntime
from tests.bench.beacons import Beacons
from tests.bench.sandbox.levels import LEVELS, PLACE, beside, manifest
from tests.runtimes.factories import launch, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.hyper.results import Result

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
    finally:
        beacons.close()


async def _starts(
    beacons: Beacons, command: Sequence[str], shown: Sequence[str], rounds: int
) -> dict[str, list[float]]:
    home = make_home()
    paths = make_paths(home)
    host = ProcessHost(paths)
    runtime = ProcessRuntime("process", NativePreparer(paths), host)
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.run)
            await host.recover()
            for number in range(rounds + 1):
                for level in LEVELS:
                    taken[level].append(await _start(runtime, beacons, level, command, shown, number))
            tasks.cancel_scope.cancel()
    finally:
        host.close()
        for folder in (paths.run, home):
            shutil.rmtree(folder, ignore_errors=True)
    return {level: each[1:] for level, each in taken.items()}


async def _start(
    runtime: ProcessRuntime,
    beacons: Beacons,
    level: str,
    command: Sequence[str],
    shown: Sequence[str],
    number: int,
) -> float:
    of = service(**{**manifest("bench", level, command, shown), "service_id": "bench"})
    begin = time.perf_counter()
    running = await runtime.start(launch(of, f"{level}{number}"))
    message = await anyio.to_thread.run_sync(beacons.receive)
    await runtime.stop(running, force=True)
    await runtime.wait(running)
    return message.at - begin
