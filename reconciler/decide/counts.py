"""Which services of a source are one too many. Pure.

Those that run stay before those that do not, and the first by id before the later ones: a source that has too
many moves none of them by naming another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from manifests.model.policy import Policy


@dataclass(frozen=True, slots=True)
class Counted:
    """A service of the source: how many instances it wants, and was let have before, if it was."""

    id: str
    replicas: int
    has: int | None = None

    @property
    def kept(self) -> int:
        return min(self.replicas, self.has or 0)


def too_many(policy: Policy, services: Iterable[Counted]) -> dict[str, str]:
    """Id → why it is not run as it is wanted, of those that do not fit."""
    policy = policy.whole
    in_order = sorted(services, key=lambda each: (each.has is None, each.id))
    fit = in_order if policy.services is None else in_order[: policy.services]
    refused = {each.id: f"its source may bring {policy.services} services, and has more" for each in in_order}
    for each in fit:
        del refused[each.id]
    if policy.replicas is not None:
        why = f"its source may bring {policy.replicas} instances, and has more"
        refused |= dict.fromkeys(_beyond(policy.replicas, fit), why)
    return refused


def _beyond(most: int, services: Sequence[Counted]) -> Iterator[str]:
    """What is there goes before what wants to be more."""
    left, there = most, []
    for each in services:
        if each.kept <= left:
            left -= each.kept
            there.append(each)
        else:
            yield each.id
    for each in there:
        if (more := each.replicas - each.kept) <= left:
            left -= more
        else:
            yield each.id
