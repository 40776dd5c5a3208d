"""One container at a time: a saved revision beside `docker run`, a killed process beside `docker start`."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tests.bench.docker.engine_events import now
from tests.bench.docker.results import Result, compare

if TYPE_CHECKING:
    from tests.bench.docker.contestants import Cli, Node
    from tests.bench.docker.engine_events import EngineEvents

#: Seconds between two measurements, in which an engine finishes what it began.
PAUSE = 0.3


def measure_revisions(node: Node, cli: Cli, events: EngineEvents, pairs: int) -> list[Result]:
    """In turn: the saved file to the start of its container, and the command to the start of its."""
    ours, theirs = [], []
    node.serve("web", "0")
    node.settle(["web"])
    for number in range(1, pairs + 1):
        ours.append(_revision(node, events, str(number)))
        theirs.append(_run(cli, events, f"run{number}"))
    return [compare("saved revision → container started", ours, "docker run", theirs, 1.1)]


def _revision(node: Node, events: EngineEvents, value: str) -> float:
    events.forget()
    begin = now()
    node.serve("web", value)
    at = events.first("start", cloud_atek_service="web").at
    events.first("destroy", cloud_atek_service="web")
    time.sleep(PAUSE)
    return at - begin


def _run(cli: Cli, events: EngineEvents, name: str) -> float:
    events.forget()
    begin = now()
    cli.run(name)
    at = events.first("start", name=name).at
    cli.remove(name)
    time.sleep(PAUSE)
    return at - begin


def measure_crashes(node: Node, cli: Cli, events: EngineEvents, pairs: int) -> list[Result]:
    """In turn: SIGKILL to the start of the replacement, and the command `docker start` to its effect."""
    ours, theirs, deaths = [], [], []
    node.serve("killed", "0")
    node.settle(["killed"])
    cli.run("killed")
    for _ in range(pairs):
        ours.append(_crash(node, events))
        death, start = _start(cli, events)
        deaths.append(death + start)
        theirs.append(start)
    cli.remove("killed")
    return [
        compare("SIGKILL → replacement started", ours, "docker start", theirs, 1.2),
        compare("SIGKILL → replacement started", ours, "SIGKILL → ended, then docker start", deaths),
    ]


def _crash(node: Node, events: EngineEvents) -> float:
    pid = node.process_of("killed")
    events.forget()
    begin = now()
    os.kill(pid, signal.SIGKILL)
    at = events.first("start", cloud_atek_service="killed").at
    events.first("destroy", cloud_atek_service="killed")
    time.sleep(PAUSE)
    return at - begin


def _start(cli: Cli, events: EngineEvents) -> tuple[float, float]:
    """Seconds until the engine knows that the process is gone, and until it runs again after the command."""
    pid = cli.process_of("killed")
    events.forget()
    begin = now()
    os.kill(pid, signal.SIGKILL)
    death = events.first("die", name="killed").at - begin
    time.sleep(PAUSE)
    begin = now()
    cli.start("killed")
    at = events.first("start", name="killed").at
    time.sleep(PAUSE)
    return death, at - begin
