"""Wake-ups by key: deduplicated, the earliest deadline wins, due keys in the order they became due.

A wake-up carries no payload. Whoever takes a key reads the world again, so ten wake-ups and one mean
the same, and a lost reason cannot be acted on.
"""

from __future__ import annotations

import heapq
from math import inf

import anyio


class WakeQueue:
    """One reader, many wakers, one event loop; times are `anyio.current_time()`."""

    def __init__(self) -> None:
        self._due: dict[str, None] = {}
        self._times: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._changed = anyio.Event()

    def __len__(self) -> int:
        """How many keys are due now."""
        return len(self._due)

    def wake(self, key: str) -> None:
        """Makes the key due; a later deadline it had is void, the decision will set a new one."""
        self._times.pop(key, None)
        self._due[key] = None
        self._changed.set()

    def wake_at(self, key: str, at: float) -> None:
        """Makes the key due at `at`, unless it is due before."""
        if key in self._due or self._times.get(key, inf) <= at:
            return
        self._times[key] = at
        heapq.heappush(self._heap, (at, key))
        if self._heap[0][1] == key:
            self._changed.set()

    async def get(self) -> str:
        """The next due key; waits for one."""
        while True:
            self._collect(anyio.current_time())
            if self._due:
                key = next(iter(self._due))
                del self._due[key]
                return key
            if self._changed.is_set():
                self._changed = anyio.Event()
            with anyio.CancelScope(deadline=self._next_time()):
                await self._changed.wait()

    def _collect(self, now: float) -> None:
        """Moves what time made due; entries that a newer wake-up replaced are dropped here."""
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._times.get(key) == at:
                del self._times[key]
                self._due[key] = None

    def _next_time(self) -> float:
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf
