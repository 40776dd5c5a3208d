"""Requests a second and latencies, of all contestants in turn.

A machine's speed drifts within minutes, so the contestants take turns every few seconds, each round begins
with another one, and ratios are those of neighbours in one round; what is told are medians over the rounds.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.processes import cpu_seconds
from tests.bench.router.wire import WrongAnswer, expect_answer, gateway_call, plain_get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.router.load import Load, Sample
    from tests.bench.router.proxies import Proxy
    from tests.bench.router.wire import Request

#: What is asked for: a JSON-RPC call through the gateway, and a GET by host name.
KINDS = ("call", "get")
#: Seconds before anything counts, at the most: connections to the backend are made, and Node compiles.
_WARM_UP = 1.0


@dataclass(frozen=True)
class Turn:
    """One measurement. `cpu` is seconds of the contestant's own processor time per request."""

    sample: Sample
    cpu: float


@dataclass(frozen=True)
class Speed:
    """Medians: requests a second, seconds. The ratios are to the yardstick, None without it."""

    kind: str
    connections: int
    name: str
    rate: float
    p50: float
    p99: float
    cpu: float
    ratio: float | None
    ratio_p50: float | None
    ratio_p99: float | None


def measure_speed(
    proxies: Sequence[Proxy],
    load: Load,
    *,
    connections: Sequence[int],
    rounds: int,
    seconds: float,
    yardstick: str,
) -> list[Speed]:
    """`yardstick` names the one whose numbers the others' are divided by.

    Raises WrongAnswer, naming the contestant, when one of them answers wrongly even once.
    """
    results = []
    for kind in KINDS:
        for proxy in proxies:
            _take_turn(proxy, load, kind, connections=max(connections), seconds=min(seconds, _WARM_UP))
        for count in connections:
            turns: dict[str, list[Turn]] = {proxy.name: [] for proxy in proxies}
            for proxy in _in_turn(proxies, rounds):
                turn = _take_turn(proxy, load, kind, connections=count, seconds=seconds)
                turns[proxy.name].append(turn)
                print(
                    f"  {kind} × {count}: {proxy.name} {turn.sample.rate:.0f}/s", file=sys.stderr, flush=True
                )
            results += [_medians(kind, count, name, turns[name], turns.get(yardstick)) for name in turns]
    return results


def request_of(proxy: Proxy, kind: str) -> Request:
    return gateway_call(proxy.token) if kind == "call" else plain_get()


def _in_turn(proxies: Sequence[Proxy], rounds: int) -> Iterator[Proxy]:
    for number in range(rounds):
        first = number % len(proxies)
        yield from proxies[first:]
        yield from proxies[:first]


def _take_turn(proxy: Proxy, load: Load, kind: str, *, connections: int, seconds: float) -> Turn:
    request = request_of(proxy, kind)
    try:
        proxy.check()
        size = expect_answer(proxy.address, request).size
        before = cpu_seconds(proxy.pids())
        sample = load.run(proxy.address, request, size=size, connections=connections, seconds=seconds)
        after = cpu_seconds(proxy.pids())
    except WrongAnswer as error:
        raise WrongAnswer(f"{proxy.name}, {kind}, {connections} connections: {error}") from error
    return Turn(sample, (after - before) / sample.requests)


def _medians(
    kind: str, connections: int, name: str, own: Sequence[Turn], yardstick: Sequence[Turn] | None
) -> Speed:
    def median(value: Callable[[Turn], float]) -> float:
        return statistics.median(map(value, own))

    def ratio(value: Callable[[Turn], float]) -> float | None:
        if yardstick is None:
            return None
        return statistics.median(value(a) / value(b) for a, b in zip(own, yardstick, strict=True))

    return Speed(
        kind,
        connections,
        name,
        rate=median(_rate),
        p50=median(_p50),
        p99=median(_p99),
        cpu=median(lambda turn: turn.cpu),
        ratio=ratio(_rate),
        ratio_p50=ratio(_p50),
        ratio_p99=ratio(_p99),
    )


def _rate(turn: Turn) -> float:
    return turn.sample.rate


def _p50(turn: Turn) -> float:
    return turn.sample.p50


def _p99(turn: Turn) -> float:
    return turn.sample.p99
