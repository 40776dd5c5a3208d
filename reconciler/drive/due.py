"""When a schedule comes next, by this machine's clock and zone."""

from __future__ import annotations

from datetime import datetime

from manifests.model.auto_update import next_time, pause

#: How much later than its schedule something begins by chance: so much of the time between two, and at most
#: so many seconds. Many nodes do not ask a server at once.
JITTER, MOST = 0.1, 900.0


def due(schedule: str, since: float, chance: float) -> float:
    """In seconds since 1970, as is `since`, when it came last; `chance` (0 to 1) is drawn each time."""
    comes = pause(schedule)
    if comes is not None:
        return since + comes + chance * min(JITTER * comes, MOST)
    first = next_time(schedule, datetime.fromtimestamp(since))
    between = (next_time(schedule, first) - first).total_seconds()
    return first.timestamp() + chance * min(JITTER * between, MOST)
