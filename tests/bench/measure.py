"""Measures one contestant: boot, crash, edit, memory, idle. Seconds inside, medians outside."""

from __future__ import annotations

import os
import signal
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.contestants import NotSupportedError
from tests.bench.processes import cpu_seconds, proportional_memory

if TYPE_CHECKING:
    from tests.bench.beacons import Beacons
    from tests.bench.contestants import Contestant

#: Seconds of quiet before crashes, and before the idle time.
SETTLE = 3.0
#: Seconds between two crashes or edits: no back-off, no reload in progress, is what is compared.
PAUSE = 0.1


@dataclass(frozen=True)
class Result:
    """Seconds, MiB, and percent of one core; None where a contestant has nothing of the kind."""

    name: str
    boot: float
    crash: float
    edit: float | None
    memory: float
    idle: float


def measure(contestant: Contestant, beacons: Beacons, count: int, rounds: int, idle: float) -> Result:
    """Starts it, measures, and stops it whatever happens."""
    names = [f"s{number}" for number in range(count)]
    beacons.forget()
    try:
        begin = time.perf_counter()
        contestant.start(names)
        heard = beacons.until(set(names))
        boot = max(message.at for message in heard.values()) - begin
        time.sleep(SETTLE)
        pids = {name: message.pid for name, message in heard.items()}
        half = max(1, count // 2)
        crash = _crash(beacons, pids, names[:half], rounds)
        edit = _edit(contestant, beacons, names[half:] or names, rounds)
        time.sleep(SETTLE)
        memory = proportional_memory(contestant.pids())
        return Result(contestant.name, boot, crash, edit, memory, _idle(contestant, idle))
    finally:
        contestant.stop()


def _crash(beacons: Beacons, pids: dict[str, int], names: list[str], rounds: int) -> float:
    """SIGKILL to the next start of the same service."""
    taken = []
    for number in range(rounds):
        name = names[number % len(names)]
        beacons.forget()
        begin = time.perf_counter()
        os.kill(pids[name], signal.SIGKILL)
        message = beacons.until({name})[name]
        taken.append(message.at - begin)
        pids[name] = message.pid
        time.sleep(PAUSE)
    return statistics.median(taken)


def _edit(contestant: Contestant, beacons: Beacons, names: list[str], rounds: int) -> float | None:
    """A changed value saved (and the reload command given) to the start with the new value."""
    taken = []
    for number in range(rounds):
        name, value = names[number % len(names)], f"v{number}"
        beacons.forget()
        begin = time.perf_counter()
        try:
            contestant.edit(name, value)
        except NotSupportedError:
            return None
        taken.append(beacons.until({name}, value)[name].at - begin)
        time.sleep(PAUSE)
    return statistics.median(taken)


def _idle(contestant: Contestant, seconds: float) -> float:
    pids = contestant.pids()
    before = cpu_seconds(pids)
    time.sleep(seconds)
    return (cpu_seconds(pids) - before) / seconds * 100
