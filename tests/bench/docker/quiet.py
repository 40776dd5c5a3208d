"""A node at rest with many containers: what it asks of the engine, and what it costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.docker.contestants import Node
from tests.bench.docker.proxy import CountingProxy
from tests.bench.docker.results import Result

if TYPE_CHECKING:
    from tests.bench.docker.engine_events import EngineEvents

#: Seconds in which the last of what the starts caused is done.
PAUSE = 10.0
#: Seconds between two of the node's looks at everything.
RESYNC = 30.0


def measure(socket: str, events: EngineEvents, count: int, seconds: float) -> list[Result]:
    """Requests for each resync, and the share of a core; over at least one of them."""
    names = [f"quiet{number}" for number in range(count)]
    events.forget()
    with CountingProxy(socket) as proxy:
        node = Node(proxy.path)
        try:
            node.declare(names)
            events.all(count, "start")
            node.settle(names)
            time.sleep(PAUSE)
            proxy.forget()
            before, began = node.cpu_seconds(), time.monotonic()
            time.sleep(max(seconds, RESYNC))
            share = (node.cpu_seconds() - before) / (time.monotonic() - began) * 100
            asked = proxy.requests()
        finally:
            node.close()
    return [
        Result(
            f"engine calls in {max(seconds, RESYNC):g} s at rest with {count} containers",
            ", ".join(asked) or "none", "a resync each 30 s", "", len(asked), max(seconds, RESYNC) // RESYNC,
            unit="",
        ),
        Result(
            f"idle CPU of the node and its router with {count} containers",
            f"{share:.2f} % of a core", "", "", share, 0.3, unit="%",
        ),
    ]  # fmt: skip
