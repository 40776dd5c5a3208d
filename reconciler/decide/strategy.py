"""One after the other, or the new beside the old: which of the two holds for a service, and why. Pure.

Two writers of the same files are no good idea for any program that was not made for it. So a service that has
kept something, wherever it did, is recreated unless its author says otherwise; one that keeps nothing is
replaced without a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from manifests.model.service import Service
    from runtimes.base import Kept

Strategy = Literal["rolling", "recreate"]


@dataclass(frozen=True, slots=True)
class Choice:
    """`because` is a part of a sentence for a person: `recreate, because it keeps files in data/app`."""

    strategy: Strategy
    because: str


def choose(service: Service, keeps: str) -> Choice:
    """`keeps` says where the service has kept something, in a few words; empty when it has nowhere."""
    manifest = service.manifest
    if manifest.update.strategy:
        return Choice(manifest.update.strategy, "update.strategy says so")
    if port := manifest.exclusive_port:
        return Choice("recreate", f"there is only one port {port}")
    if service.in_place:
        return Choice("recreate", "it runs in place, where both would write")
    if keeps:
        return Choice("recreate", keeps)
    return Choice("rolling", "it has kept nothing")


def changed_by_both(kept: Kept) -> str:
    """What to do about files that a program and its author have changed."""
    names = ", ".join(kept.conflicts)
    return (
        f"{names}: changed by its program and by its author; the program's is used, the author's lies beside "
        f"it as {kept.conflicts[0]}.from-package in {kept.folder} (merge the two and remove that one)"
    )


def depends_on_what_it_keeps(service: Service) -> bool:
    """Whether somebody has to look before it can be chosen."""
    manifest = service.manifest
    return manifest.update.strategy is None and not (manifest.exclusive_port or service.in_place)
