"""Whether the node's work delays the router's: latencies while many services come and go without end."""

from __future__ import annotations

import statistics
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.packages import from_system
from tests.bench.processes import children_of, command_line
from tests.bench.router.wire import expect_answer, gateway_call

if TYPE_CHECKING:
    from tests.bench.router.load import Load, Sample
    from tests.bench.router.ours import Atek

#: Each tenth of a second the next batch is started or stopped, so each service once a second.
_PAUSE, _BATCHES = 0.1, 10


@dataclass(frozen=True)
class Churn:
    """Medians of p99 in seconds, without and with the coming and going, and of their ratios.

    `changes` is starts and stops a second.
    """

    services: int
    connections: int
    quiet: float
    churning: float
    ratio: float
    changes: float


class Crowd:
    """Services that listen and export an API, so that each of their changes is one of the route table."""

    def __init__(self, node: Atek, count: int) -> None:
        self._node = node
        self._program, self._starts = node.folder / "listener", node.folder / "starts"
        source = Path(__file__).with_name("listener.c")
        subprocess.run([from_system("cc", "gcc"), "-O2", "-o", self._program, source], check=True)
        self._starts.touch()
        self._names = [f"crowd-{number}" for number in range(count)]
        self.suspend(self._names, suspend=True)

    @property
    def starts(self) -> int:
        return self._starts.stat().st_size

    def suspend(self, names: list[str], *, suspend: bool) -> None:
        self._node.write(*(self._manifest(name, suspend=suspend) for name in names))

    def come_and_go(self, end: threading.Event) -> None:
        """Until the end; then all are stopped."""
        suspend = False
        while not end.is_set():
            for batch in range(_BATCHES):
                self.suspend(self._names[batch::_BATCHES], suspend=suspend)
                end.wait(_PAUSE)
            suspend = not suspend
        self.suspend(self._names, suspend=True)

    def await_absence(self) -> None:
        self._node.until(lambda: not self._running(), "the crowd has gone")

    def _running(self) -> bool:
        name = str(self._program).encode()
        return any(name in command_line(pid) for pid in children_of(self._node.node_pid))

    def _manifest(self, name: str, *, suspend: bool) -> dict[str, Any]:
        return {
            "id": name,
            "command": [str(self._program), "$ATEK_ASSIGNED_SOCKET_FILE", str(self._starts)],
            "exports": [{"api": f"bench/{name}", "path": "/"}],
            "suspend": suspend,
        }


def measure_churn(
    node: Atek, load: Load, *, count: int, connections: int, rounds: int, seconds: float
) -> Churn:
    """Quiet and churning in turn. Raises WrongAnswer."""
    crowd = Crowd(node, count)
    quiet, churning, starts = [], [], 0
    for _ in range(rounds):
        quiet.append(_sample(node, load, connections, seconds).p99)
        sample, started = _sample_among(crowd, node, load, connections, seconds)
        churning.append(sample.p99)
        starts += started
    return Churn(
        count,
        connections,
        statistics.median(quiet),
        statistics.median(churning),
        statistics.median(b / a for a, b in zip(quiet, churning, strict=True)),
        2 * starts / (rounds * seconds),
    )


def _sample_among(
    crowd: Crowd, node: Atek, load: Load, connections: int, seconds: float
) -> tuple[Sample, int]:
    """And how many services were started meanwhile."""
    end, before = threading.Event(), crowd.starts
    with ThreadPoolExecutor(1) as pool:
        toggling = pool.submit(crowd.come_and_go, end)
        try:
            node.until(lambda: crowd.starts > before, "services come and go")
            before = crowd.starts
            sample = _sample(node, load, connections, seconds)
            started = crowd.starts - before
        finally:
            end.set()
    toggling.result()
    crowd.await_absence()
    return sample, started


def _sample(node: Atek, load: Load, connections: int, seconds: float) -> Sample:
    request = gateway_call(node.token)
    size = expect_answer(node.address, request).size
    return load.run(node.address, request, size=size, connections=connections, seconds=seconds)
