"""SIGKILL of a program until its replacement runs."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tests.bench.beacons import Beacons
from tests.bench.contestants import Atek
from tests.bench.measure import PAUSE, SETTLE

if TYPE_CHECKING:
    from tests.bench.versions.earlier import Version


def measure_crashes(versions: list[Version], rounds: int) -> dict[str, list[float]]:
    """As many services as rounds, each crashes once: a second time has to wait. Versions take turns."""
    beacons = Beacons()
    names = [f"s{number}" for number in range(rounds)]
    nodes = {version.name: Atek(beacons, version.atek) for version in versions}
    pids: dict[str, dict[str, int]] = {}
    taken: dict[str, list[float]] = {name: [] for name in nodes}
    try:
        for version, node in nodes.items():
            beacons.forget()
            node.start(names)
            pids[version] = {name: message.pid for name, message in beacons.until(set(names)).items()}
        time.sleep(SETTLE)
        for name in names:
            for version in nodes:
                taken[version].append(_crash(beacons, name, pids[version][name]))
    finally:
        for node in nodes.values():
            node.stop()
        beacons.close()
    return taken


def _crash(beacons: Beacons, name: str, pid: int) -> float:
    beacons.forget()
    begin = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    at = beacons.until({name})[name].at
    time.sleep(PAUSE)
    return at - begin
