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
    from manifests.model.snapshot import Problem, Snapshot

#: The node goes on trying; everything else waits for a person.
_PENDING = frozenset({"Fetching", "FetchFailed"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why, and since when (wall-clock seconds). `pending`: the node goes on trying by itself."""

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


def refusals(
    snapshots: Sequence[Snapshot], merged: Merged, before: Mapping[str, Refusal], now: float
) -> dict[str, Refusal]:
    """By the service's id; the first that tells of one. `before` are those of the last time."""
    found: dict[str, Refusal] = {}
    for snapshot in snapshots:
        for problem in snapshot.problems:
            if problem.service not in found and _counts(problem, snapshot.source, merged):
                old = before.get(problem.service)
                found[problem.service] = _refusal(problem, snapshot.source, old, now)
    return found


def _counts(problem: Problem, source: str, merged: Merged) -> bool:
    """What another source declares is not refused by one that would lose anyway."""
    if not (problem.service and problem.reason):
        return False
    winner = merged.services.get(problem.service)
    return winner is None or winner.source == source or problem.reason == DATA_OWNED


def _refusal(problem: Problem, source: str, old: Refusal | None, now: float) -> Refusal:
    hint = f" ({problem.hint})" if problem.hint else ""
    reason = problem.reason
    same = old is not None and (old.source, old.reason) == (source, reason)
    since = old.since if old is not None and same else now
    return Refusal(source, reason, f"{problem.message}{hint}", since, problem.file)
