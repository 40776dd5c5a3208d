"""Everything that one run can find out, and in which order it does."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.router.bodies import MIB, Transfer, measure_bodies
from tests.bench.router.churn import Churn, measure_churn
from tests.bench.router.cores import cores_of_their_own
from tests.bench.router.idle import Idle, measure_idle
from tests.bench.router.ours import Atek
from tests.bench.router.speed import Speed, measure_speed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.router.backends import BackendKind
    from tests.bench.router.load import Load
    from tests.bench.router.proxies import Proxy

PARTS = ("bodies", "idle", "speed", "churn", "log")
#: Those whose idle connections are counted: the others' say nothing that we have to beat.
_HOLDERS = ("nginx", "atek")
#: Connections where one number has to do.
BUSY = 32


@dataclass(frozen=True)
class Size:
    """How long and how much. Seconds, and bytes of a long body; `pinned` is about speed only."""

    connections: tuple[int, ...] = (1, BUSY, 128)
    rounds: int = 3
    seconds: float = 4.0
    idle: int = 10_000
    body: int = 1024 * MIB
    slow: float = 5.0
    crowd: int = 200
    pinned: bool = True


#: To see that it works.
QUICK = Size(rounds=1, seconds=1.0, idle=500, body=32 * MIB, slow=0.5, crowd=20)


@dataclass
class Results:
    """What was measured; empty or None where it was not."""

    speed: list[Speed] = field(default_factory=list)
    idle: list[Idle] = field(default_factory=list)
    bodies: list[Transfer] = field(default_factory=list)
    churn: Churn | None = None
    log: list[Speed] = field(default_factory=list)


class Run:
    """The parts, over contestants that are running."""

    def __init__(self, proxies: Sequence[Proxy], kind: BackendKind, load: Load, size: Size) -> None:
        self._proxies, self._kind, self._load, self._size = proxies, kind, load, size

    def __call__(self, parts: Sequence[str]) -> Results:
        """Raises WrongAnswer."""
        ours = next((proxy for proxy in self._proxies if isinstance(proxy, Atek)), None)
        results = Results()
        # Memory first: what a router once had, it has at hand, and would then not be seen to take it.
        if ours and "bodies" in parts:
            say("long bodies …")
            results.bodies = measure_bodies(ours, self._size.body, self._size.slow)
        if "idle" in parts:
            say("idle connections …")
            holders = [proxy for proxy in self._proxies if proxy.name in _HOLDERS]
            results.idle = [measure_idle(proxy, self._size.idle) for proxy in holders]
        if "speed" in parts:
            say("speed …")
            results.speed = self._speed(self._proxies, "nginx", self._size.connections)
        if ours and "churn" in parts:
            say("services that come and go …")
            results.churn = self._churn(ours)
        if ours and "log" in parts:
            say("with an access log …")
            with self._logging_node() as logging:
                results.log = self._speed([ours, logging], ours.name, (BUSY,))
        return results

    def _churn(self, node: Atek) -> Churn:
        return measure_churn(
            node, self._load, count=self._size.crowd, connections=BUSY,
            rounds=self._size.rounds, seconds=self._size.seconds,
        )  # fmt: skip

    def _speed(self, proxies: Sequence[Proxy], yardstick: str, connections: tuple[int, ...]) -> list[Speed]:
        with cores_of_their_own(proxies) if self._size.pinned else nullcontext():
            return measure_speed(
                proxies, self._load, connections=connections, rounds=self._size.rounds,
                seconds=self._size.seconds, yardstick=yardstick,
            )  # fmt: skip

    @contextmanager
    def _logging_node(self) -> Iterator[Atek]:
        with ExitStack() as stack:
            node = Atek(self._kind, "atek with accessLog", "[router]\naccessLog = true\n")
            stack.callback(node.stop)
            node.start()
            yield node


def say(line: str) -> None:
    """Progress, for whoever waits."""
    print(line, file=sys.stderr, flush=True)
