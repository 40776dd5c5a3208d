"""What a connection costs that does nothing, after one request."""

from __future__ import annotations

import resource
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.processes import proportional_memory
from tests.bench.router.wire import Connection, checked, gateway_call

if TYPE_CHECKING:
    from tests.bench.router.proxies import Proxy

#: Descriptors that a contestant or we need besides those of the connections.
_SPARE = 500


@dataclass(frozen=True)
class Idle:
    """`kib` of the contestant's memory for each of `connections`, all of which still answered at the end."""

    name: str
    connections: int
    kib: float


def measure_idle(proxy: Proxy, count: int) -> Idle:
    """Raises WrongAnswer or OSError when one of them is not held."""
    request = gateway_call(proxy.token)
    with ExitStack() as stack:
        first = stack.enter_context(Connection(proxy.address))
        for _ in range(_SPARE):
            checked(first.ask(request))
        before = proportional_memory(proxy.pids())
        connections = [stack.enter_context(Connection(proxy.address)) for _ in range(count)]
        for connection in connections:
            checked(connection.ask(request))
        after = proportional_memory(proxy.pids())
        for connection in connections:
            checked(connection.ask(request))
    return Idle(proxy.name, count, (after - before) * 1024 / count)


def allow_many_files() -> int:
    """Raises the soft limit, for this process and those it starts, and says how many connections fit in."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - _SPARE
