"""Services that a source has and the node does not run as it says: refused, or not here yet. Pure.

A source tells of them by problems with a service and a reason. Where nothing of the service runs, status
gets an entry of its own for it; where an older state of it runs, that entry gets one more condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.decide.conditions import Condition
from reconciler.decide.inheritance import DATA_OWNED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from manifests.model.merge import Merged
    from manifests.model.snapshot import Snapshot

#: The node goes on trying; everything else waits for a person.
_PENDING = frozenset({"Fetching", "FetchFailed"})


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Why, and since when (wall-clock seconds)."""

    source: str
    reason: str
    message: str
    since: float
    file: str = ""

    @property
    def pending(self) -> bool:
        return self.reason in _PENDING

    def conditions(self) -> Iterator[Condition]:
        """The three of a service of which nothing runs."""
        yield Condition("Ready", "False", self.reason, self.message)
        yield Condition("Reconciling", "True" if self.pending else "False", self.reason, self.message)
        yield Condition("Stalled", "False" if self.pending else "True", self.reason, self.message)

    def up_to_date(self) -> Condition:
        """The one more of a service of which an older state runs."""
        return Condition("UpToDate", "False", self.reason, self.message)


def held_back(
    snapshots: Sequence[Snapshot], merged: Merged, before: Mapping[str, HeldBack], now: float
) -> dict[str, HeldBack]:
    """By the service's id. What another source declares is not held back by one that would lose anyway."""
    found: dict[str, HeldBack] = {}
    for snapshot in snapshots:
        for problem in snapshot.problems:
            winner = merged.services.get(problem.service)
            elsewhere = winner is not None and winner.source != snapshot.source
            elsewhere = elsewhere and problem.reason != DATA_OWNED
            if not (problem.service and problem.reason) or problem.service in found or elsewhere:
                continue
            hint = f" ({problem.hint})" if problem.hint else ""
            message = f"{problem.message}{hint}"
            old = before.get(problem.service)
            same = old is not None and (old.source, old.reason) == (snapshot.source, problem.reason)
            since = old.since if old is not None and same else now
            found[problem.service] = HeldBack(snapshot.source, problem.reason, message, since, problem.file)
    return found
