"""A request by host name to its answer, over one connection that is kept: between them is the router."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.bench.hyper.results import Result, times
from tests.bench.router.backends import PLAIN
from tests.bench.router.wire import Connection, checked, plain_get
from tests.bench.sandbox.levels import LEVELS, manifest
from tests.e2e.nodes import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def measure(requests: int) -> list[Result]:
    """The levels take turns with each request."""
    bench = Bench()
    command = [sys.executable, str(PLAIN), "$ATEK_ASSIGNED_SOCKET_FILE"]
    shown = [str(PLAIN.parent), sys.prefix, sys.base_prefix]
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    try:
        for level in LEVELS:
            said = {**manifest(level, level, command, shown), "probes": {}}
            bench.write(f"{level}.json", json.dumps(said))
        bench.up()
        bench.until(lambda: bench.ready(*LEVELS), "all serve")
        port = urlsplit(bench.status()["node"]["address"]).port
        assert port is not None
        with Connection(("127.0.0.1", port)) as connection:
            for _ in range(requests + 1):
                for level in LEVELS:
                    taken[level].append(_ask(connection, level))
    finally:
        bench.close()
    return list(_told({level: each[1:] for level, each in taken.items()}))


def _ask(connection: Connection, service_id: str) -> float:
    begin = time.perf_counter()
    checked(connection.ask(plain_get(service=service_id)))
    return time.perf_counter() - begin


def _told(taken: Mapping[str, Sequence[float]]) -> Iterator[Result]:
    for level in LEVELS:
        yield times(f"request → answer, {level}", taken[level], "—")
    for level in LEVELS[1:]:
        ratio = statistics.median(taken[level]) / statistics.median(taken["none"])
        yield Result(f"… {level} ÷ none", f"× {ratio:.2f}", "× 1", ratio)
