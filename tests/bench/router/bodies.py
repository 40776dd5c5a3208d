"""Long bodies through the router, both ways, and how much of them it keeps in memory at the most."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from tests.bench.processes import proportional_memory
from tests.bench.router.ours import BODIES
from tests.bench.router.wire import ANSWER, PATIENCE, WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.router.ours import Atek
    from tests.bench.router.wire import Address

MIB = 1 << 20
#: Seconds between two looks at the router's memory.
_TICK = 0.02
#: What the slow reader takes at a time, and how often in a second: 1 MiB/s.
_SIP, _SIPS = 64 * 1024, 16
_HOST = {"Host": f"{BODIES}.localhost"}


@dataclass(frozen=True)
class Transfer:
    """MiB a second, and the MiB by which the router's memory grew at the most meanwhile."""

    name: str
    rate: float
    growth: float


class Watch:
    """Looks at a process's memory (PSS) all the time; `growth` is MiB since the beginning, at the most."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._end = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._first = self._most = proportional_memory(pids)

    def __enter__(self) -> Watch:
        self._watching = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._pool.shutdown()
        self._watching.result()

    @property
    def growth(self) -> float:
        return self._most - self._first

    def _run(self) -> None:
        while not self._end.wait(_TICK):
            self._most = max(self._most, proportional_memory(self._pids))


def measure_bodies(node: Atek, size: int, slow: float) -> list[Transfer]:
    """`size` bytes each way, with and without a length; then a reader that is slow for so many seconds.

    Raises WrongAnswer when a byte is missing.
    """
    results = []
    for chunked in (False, True):
        how = "chunked" if chunked else "Content-Length"
        with Watch(node.pids()) as watch:
            seconds = upload(node.address, size, chunked=chunked)
        results.append(Transfer(f"upload, {how}", size / MIB / seconds, watch.growth))
        with Watch(node.pids()) as watch:
            seconds = download(node.address, size, chunked=chunked)
        results.append(Transfer(f"download, {how}", size / MIB / seconds, watch.growth))
    return [*results, _beside_a_slow_reader(node, size, slow)]


def upload(address: Address, size: int, *, chunked: bool) -> float:
    """Seconds."""
    begin = time.perf_counter()
    headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(size)}
    with closing(HTTPConnection(*address, timeout=PATIENCE)) as connection:
        body = _blocks(size)
        connection.request("POST", "/sink", body, {**_HOST, **headers}, encode_chunked=chunked)
        with connection.getresponse() as answer:
            received, text = answer.headers["X-Received"], answer.read()
    if (answer.status, received, text) != (200, str(size), ANSWER):
        raise WrongAnswer(f"upload: {answer.status}, {received} of {size} bytes came")
    return time.perf_counter() - begin


def download(address: Address, size: int, *, chunked: bool) -> float:
    """Seconds."""
    begin = time.perf_counter()
    buffer = bytearray(MIB)
    with closing(HTTPConnection(*address, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/source?bytes={size}{'&chunked' if chunked else ''}", headers=_HOST)
        with connection.getresponse() as answer:
            received = sum(iter(lambda: answer.readinto(buffer), 0))
    if (answer.status, received) != (200, size):
        raise WrongAnswer(f"download: {answer.status}, {received} of {size} bytes came")
    return time.perf_counter() - begin


def _blocks(size: int) -> Iterator[bytes]:
    block = bytes(MIB)
    while size:
        yield block[:size]
        size -= min(size, MIB)


def _beside_a_slow_reader(node: Atek, size: int, seconds: float) -> Transfer:
    """Downloads at full speed as long as somebody else takes a sip now and then."""
    done, taken = 0, 0.0
    with Watch(node.pids()) as watch, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(_sip, node.address, size, seconds)
        while not slow.done():
            taken += download(node.address, size, chunked=False)
            done += size
        slow.result()
    return Transfer("download beside a slow reader", done / MIB / taken, watch.growth)


def _sip(address: Address, size: int, seconds: float) -> None:
    with closing(HTTPConnection(*address, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/source?bytes={size}", headers=_HOST)
        answer = connection.getresponse()
        for _ in range(int(seconds * _SIPS)):
            if len(answer.read(_SIP)) != _SIP:
                raise WrongAnswer("the slow reader's download ended early")
            time.sleep(1 / _SIPS)
