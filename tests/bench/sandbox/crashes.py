"""SIGKILL of a program until a node has started it again."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

from tests.bench.beacons import Beacons
from tests.bench.measure import PAUSE, SETTLE
from tests.bench.sandbox.levels import LEVELS, PLACE, beside, manifest
from tests.e2e.nodes import Bench

if TYPE_CHECKING:
    from tests.bench.hyper.results import Result

_MOST = {"none": "5 ms", "private": "12 ms"}


def measure(rounds: int) -> list[Result]:
    """As many services of each level as rounds, each crashes once: a second time has to wait."""
    beacons, bench = Beacons(PLACE), Bench()
    names = [f"{level}-{number}" for number in range(rounds) for level in LEVELS]
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    try:
        for name in names:
            text = json.dumps(manifest(name, _level(name), beacons.command(name), [str(beacons.folder)]))
            bench.write(f"{name}.json", text)
        bench.up()
        pids = {name: message.pid for name, message in beacons.until(set(names)).items()}
        time.sleep(SETTLE)
        for name in names:
            taken[_level(name)].append(_crash(beacons, name, pids[name]))
    finally:
        bench.close()
        beacons.close()
    return list(beside("SIGKILL → started again", taken, _MOST, {}))


def _level(name: str) -> str:
    return name.partition("-")[0]


def _crash(beacons: Beacons, name: str, pid: int) -> float:
    beacons.forget()
    begin = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    at = beacons.until({name})[name].at
    time.sleep(PAUSE)
    return at - begin
