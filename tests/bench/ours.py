"""What only concerns us: how the cost of a change and of a resync grows with the number of services."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.contestants import Atek
from tests.bench.measure import PAUSE

if TYPE_CHECKING:
    from tests.bench.beacons import Beacons


@dataclass(frozen=True)
class Growth:
    """Seconds: medians of changes among few and among many, CPU of one resync, of starting Python."""

    few: int
    many: int
    change_few: float
    change_many: float
    resync_cpu: float
    bare_interpreter: float
    with_libraries: float


def growth(beacons: Beacons, few: int, many: int, rounds: int) -> Growth:
    """Two nodes side by side, changed in turn; then two resyncs of the larger one."""
    nodes = {count: Atek(beacons) for count in (few, many)}
    taken: dict[int, list[float]] = {few: [], many: []}
    try:
        for count, node in nodes.items():
            names = [f"n{count}-{number}" for number in range(count)]
            node.start(names)
            beacons.until(set(names))
        time.sleep(5)
        for number in range(rounds):
            for count, node in nodes.items():
                taken[count].append(_change(node, beacons, f"n{count}-{number % count}", f"v{number}"))
        resync = _resync(nodes[many])
    finally:
        for node in nodes.values():
            node.stop()
    return Growth(
        few,
        many,
        statistics.median(taken[few]),
        statistics.median(taken[many]),
        resync,
        _start("pass"),
        _start("import anyio, asyncio, orjson, pydantic_settings, watchfiles, yaml"),
    )


def _change(node: Atek, beacons: Beacons, name: str, value: str) -> float:
    beacons.forget()
    begin = time.perf_counter()
    node.edit(name, value)
    at = beacons.until({name}, value)[name].at
    time.sleep(PAUSE)
    return at - begin


def _resync(node: Atek) -> float:
    """Mean CPU time of the resyncs (one each 30 s) that happen while we wait for two."""
    before = _counters(node)
    while (after := _counters(node))[0] < before[0] + 2:
        time.sleep(1)
    return (after[1] - before[1]) / (after[0] - before[0])


def _counters(node: Atek) -> tuple[float, float]:
    with urllib.request.urlopen(f"{node.address()}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return _value(text, "atek_resyncs_total"), _value(text, "atek_resync_cpu_seconds_total")


def _value(text: str, name: str) -> float:
    match = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert match, f"/metrics has no {name}"
    return float(match[1])


def _start(code: str) -> float:
    """Seconds for an interpreter to start, run this, and end."""
    taken = []
    for _ in range(9):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)
