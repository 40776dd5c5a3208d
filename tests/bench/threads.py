"""Load by a thread for each connection: slow, but everywhere, and it can look at every answer."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tests.bench.router.wire import Connection, WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.router.wire import Address

    #: Asks once; given how many answers this connection had before. Raises WrongAnswer.
    Ask = Callable[[Connection, int], None]


def ask_until(address: Address, ask: Ask, *, connections: int, seconds: float) -> list[float]:
    """What each answer took, in seconds, sorted; at least one a connection. Raises WrongAnswer."""
    end = time.monotonic() + seconds
    clients = [_Client(address, ask, end) for _ in range(connections)]
    for client in clients:
        client.thread.start()
    for client in clients:
        client.thread.join()
    if wrong := [client.wrong for client in clients if client.wrong]:
        raise WrongAnswer(f"{len(wrong)} errors, the first: {wrong[0]}")
    return sorted(time for client in clients for time in client.taken)


class _Client:
    def __init__(self, address: Address, ask: Ask, end: float) -> None:
        self.taken: list[float] = []
        self.wrong = ""
        self.thread = threading.Thread(target=self._run, args=(address, ask, end))

    def _run(self, address: Address, ask: Ask, end: float) -> None:
        try:
            with Connection(address) as connection:
                while not self.taken or time.monotonic() < end:
                    begin = time.perf_counter()
                    ask(connection, len(self.taken))
                    self.taken.append(time.perf_counter() - begin)
        except (OSError, WrongAnswer) as error:
            self.wrong = str(error)
