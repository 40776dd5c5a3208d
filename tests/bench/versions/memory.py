"""Memory of a node and its router that have little to do, and no Git source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.beacons import Beacons
from tests.bench.contestants import Atek
from tests.bench.processes import proportional_memory

if TYPE_CHECKING:
    from tests.bench.versions.earlier import Version


def measure_memory(
    versions: list[Version], services: int, rounds: int, settle: float
) -> dict[str, list[float]]:
    """MiB of PSS. Versions take turns, and never run at the same time: what they share counts in full."""
    taken: dict[str, list[float]] = {version.name: [] for version in versions}
    for _ in range(rounds):
        for version in versions:
            taken[version.name].append(_one(version, services, settle))
    return taken


def _one(version: Version, services: int, settle: float) -> float:
    beacons = Beacons()
    node = Atek(beacons, version.atek)
    names = [f"s{number}" for number in range(services)]
    try:
        node.start(names)
        beacons.until(set(names))
        time.sleep(settle)
        return proportional_memory(node.pids())
    finally:
        node.stop()
        beacons.close()
