"""Many containers at once: dropped as manifests into a running node's folder, and by `docker-compose up`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.docker.contestants import Cli, Compose, Node
from tests.bench.docker.engine_events import now
from tests.bench.docker.results import Result, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.docker.engine_events import EngineEvents

#: Seconds in which an engine finishes with those that were before.
PAUSE = 3.0


def measure(socket: str, events: EngineEvents, count: int, rounds: int) -> list[Result]:
    """In turn, until the last of them was started; and the command `docker run` for all at the same time."""
    names = [f"many{number}" for number in range(count)]
    ours, theirs, commands = [], [], []
    for _ in range(rounds):
        ours.append(_ours(socket, events, names))
        theirs.append(_compose(socket, events, names))
        commands.append(_all_at_once(socket, events, names))
    what = f"{count} containers → all started"
    return [
        compare(what, ours, "docker-compose up", theirs, 0.8),
        compare(what, ours, f"{count} × docker run at the same time", commands),
    ]


def _ours(socket: str, events: EngineEvents, names: list[str]) -> float:
    node = Node(socket)
    try:
        return _until_all_started(events, len(names), lambda: node.declare(names))
    finally:
        node.close()


def _compose(socket: str, events: EngineEvents, names: list[str]) -> float:
    compose = Compose(socket, names)
    try:
        return _until_all_started(events, len(names), compose.up)
    finally:
        compose.close()


def _all_at_once(socket: str, events: EngineEvents, names: list[str]) -> float:
    cli = Cli(socket)

    def run() -> None:
        for started in [cli.begin_run(name) for name in names]:
            started.wait()

    try:
        return _until_all_started(events, len(names), run)
    finally:
        cli.remove(*names)
        cli.close()


def _until_all_started(events: EngineEvents, count: int, begin: Callable[[], None]) -> float:
    time.sleep(PAUSE)
    events.forget()
    began = now()
    begin()
    return max(event.at for event in events.all(count, "start")) - began
