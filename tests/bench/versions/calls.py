"""Calls through the router: how many a second, and how long the slowest take beside large answers."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.router.ours import Atek
from tests.bench.router.wire import CALL, PATIENCE, WrongAnswer, expect_answer, gateway_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.router.backends import BackendKind
    from tests.bench.router.load import Load
    from tests.bench.versions.earlier import Version

#: The API of the service that answers much.
LARGE = "bench/large"
#: Seconds for one such answer: 0.3.0 needs up to half a minute where others have the machine as well.
LARGE_PATIENCE = 4 * PATIENCE


@dataclass(frozen=True)
class Turn:
    """Requests a second, and seconds; `large` counts the answers of the other service meanwhile."""

    rate: float
    quiet: float
    loud: float
    large: int


class Node(Atek):
    """With a service whose every answer has `size` bytes."""

    def __init__(self, version: Version, kind: BackendKind, size: int) -> None:
        super().__init__(kind, version.name, atek=version.atek)
        program = str(Path(__file__).with_name("large_answers.py"))
        command = [sys.executable, program, "$ATEK_ASSIGNED_SOCKET_FILE", str(size)]
        self.write({"id": "large", "command": command, "exports": [{"api": LARGE, "path": "/"}]})

    def turn(self, load: Load, connections: int, seconds: float) -> Turn:
        """The rate on many connections; p99 on one, without and with large answers beside it.

        The latter for longer: a router that does nothing else meanwhile answers little.
        """
        request = gateway_call(self.token)
        size = expect_answer(self.address, request).size
        many = load.run(self.address, request, size=size, connections=connections, seconds=seconds)
        quiet = load.run(self.address, request, size=size, connections=1, seconds=seconds)
        with self._large_answers() as answers:
            loud = load.run(self.address, request, size=size, connections=1, seconds=3 * seconds)
        if not answers:
            raise WrongAnswer(f"{self.name}: no large answer arrived")
        return Turn(many.rate, quiet.p99, loud.p99, len(answers))

    def large_answer(self, connection: http.client.HTTPConnection) -> int:
        """Its size. Raises OSError and HTTPException."""
        headers = dict(gateway_call(self.token).headers)
        connection.request("POST", f"/_atek/gateway?api={LARGE}", CALL, headers)
        return len(connection.getresponse().read())

    def connect(self) -> http.client.HTTPConnection:
        host, port = self.address
        return http.client.HTTPConnection(host, port, timeout=LARGE_PATIENCE)

    @contextmanager
    def _large_answers(self) -> Iterator[list[int]]:
        """One after another, on a connection of their own; the context begins when one is being answered."""
        stop, answers = threading.Event(), list[int]()

        def ask() -> None:
            with closing(self.connect()) as connection:
                while not stop.is_set():
                    answers.append(self.large_answer(connection))

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield answers
        finally:
            stop.set()
            thread.join()


def measure_calls(
    versions: list[Version],
    kind: BackendKind,
    load: Load,
    *,
    rounds: int,
    connections: int,
    seconds: float,
    size: int,
) -> dict[str, list[Turn]]:
    """The versions take turns."""
    nodes = {version.name: Node(version, kind, size) for version in versions}
    taken: dict[str, list[Turn]] = {name: [] for name in nodes}
    try:
        for node in nodes.values():
            node.start()
            node.until(lambda node=node: _answers(node, size), "the other service answers")  # type: ignore[misc]
        for _ in range(rounds):
            for name, node in nodes.items():
                taken[name].append(node.turn(load, connections, seconds))
                time.sleep(0.2)
    finally:
        for node in nodes.values():
            node.stop()
    return taken


def _answers(node: Node, size: int) -> bool:
    """Whether a large answer arrives: some bytes shorter with the right id, as an error is by far."""
    try:
        with closing(node.connect()) as connection:
            return node.large_answer(connection) > size // 2
    except (http.client.HTTPException, OSError):
        return False
