"""How often anonymous callers may ask: a count for each address and minute."""

from __future__ import annotations

from time import monotonic

_MINUTE = 60.0
#: Addresses that are counted; beyond that everybody shares one count, so that inventing addresses is no use.
_MOST_ADDRESSES = 10_000


class RateLimit:
    """Counts start anew each minute. Requests with a good token or session are never counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}
        self._until = 0.0

    def admit(self, address: str) -> bool:
        """Counts one request; False when there were too many."""
        now = monotonic()
        if now >= self._until:
            self._counts, self._until = {}, now + _MINUTE
        if address not in self._counts and len(self._counts) >= _MOST_ADDRESSES:
            address = "others"
        counted = self._counts[address] = self._counts.get(address, 0) + 1
        return counted <= self._limit
