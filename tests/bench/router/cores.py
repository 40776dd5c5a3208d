"""Who computes where.

Left to itself, the kernel puts contestant, load and backend on one core or on two, as it happens. On a
machine with two, the turns of one contestant differed by up to 160 %; with cores of their own, by up to 22 %.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.bench.router.proxies import Direct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from tests.bench.router.proxies import Proxy


@contextmanager
def cores_of_their_own(proxies: Sequence[Proxy]) -> Iterator[None]:
    """One core for the contestants, who take turns, and the others for all that we started besides.

    Does nothing where there is only one. What is started meanwhile inherits our own cores.
    """
    every = os.sched_getaffinity(0)
    first = min(every)
    if len(every) == 1:
        yield
        return
    try:
        _move(_family(os.getpid()), every - {first})
        for proxy in proxies:
            # The backend stays with the load, where it is for all the others.
            if not isinstance(proxy, Direct):
                _move(proxy.pids(), {first})
        yield
    finally:
        _move(_family(os.getpid()), every)


def _family(pid: int) -> list[int]:
    """This process and all that came of it."""
    found = [pid]
    for each in found:
        for thread in _threads(each):
            with suppress(FileNotFoundError), open(f"/proc/{each}/task/{thread}/children") as file:
                found += [int(word) for word in file.read().split()]
    return found


def _move(pids: Sequence[int], cores: AbstractSet[int]) -> None:
    for pid in pids:
        for thread in _threads(pid):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cores)


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []
