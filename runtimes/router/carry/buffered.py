"""How many bytes all connections together may keep of bodies that are read whole, and of answers. Pure."""

from __future__ import annotations


class Buffered:
    """Counts. Whoever takes some gives it back, also when there was not enough."""

    __slots__ = ("_limit", "used")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def take(self, size: int) -> bool:
        """Whether there was enough left for it."""
        self.used += size
        return self.used <= self._limit

    def give(self, size: int) -> None:
        self.used -= size
