"""One thing that happened, for people and for programs that watch. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One thing that happened. `time` is wall-clock seconds, `service` empty for the node itself."""

    time: float
    service: str
    reason: str
    message: str
    instance: str = ""
    warning: bool = False


class Events(Protocol):
    """The last events, and those to come."""

    def recent(self, limit: int = 200) -> Sequence[EventRecord]: ...

    def subscribe(self) -> AbstractContextManager[AsyncIterator[EventRecord]]:
        """Events from now on; a reader that is too slow loses the oldest, never delays the node."""
        ...
