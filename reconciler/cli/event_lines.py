"""One event, one line: `12:00:01 notes     Ready        listens on 127.0.0.1:8080`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reconciler.cli.output import clean, pad, paint

if TYPE_CHECKING:
    from reconciler.decide.event import EventRecord

_REASON_WIDTH = 16
_GOOD = frozenset({"Ready", "Completed"})


class EventLines:
    """Formats events; the column of ids grows with the longest id so far."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._id_width = 8

    def line(self, event: EventRecord) -> str:
        name = clean(event.service or "node")
        self._id_width = min(max(self._id_width, len(name)), 32)
        clock = time.strftime("%H:%M:%S", time.localtime(event.time))
        good = "green" if event.reason in _GOOD else ""
        reason = paint(
            pad(clean(event.reason), _REASON_WIDTH), "red" if event.warning else good, enabled=self._colour
        )
        start = f"{paint(clock, 'dim', enabled=self._colour)} {pad(name, self._id_width)}  {reason}"
        return f"{start}  {clean(event.message)}".rstrip()
