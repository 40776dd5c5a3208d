"""What was refused, told to a person: each once in a while, and not without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.network.rules import Refusal

#: Seconds in which the same is told once, and in which no more than so many are told of one service.
WHILE, MOST = 60.0, 20


class Refusals:
    """`told` gets a service and a refusal, `counted` each service that one is of; `now` is in seconds."""

    def __init__(
        self,
        told: Callable[[str, Refusal], None],
        counted: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._told = told
        self._counted = counted
        self._now = now
        self._last: dict[str, dict[Refusal, float]] = {}

    def add(self, service_id: str, refusal: Refusal) -> None:
        now = self._now()
        self._counted(service_id)
        recent = {each: when for each, when in self._last.get(service_id, {}).items() if now - when < WHILE}
        self._last[service_id] = recent
        if refusal not in recent and len(recent) < MOST:
            recent[refusal] = now
            self._told(service_id, refusal)
