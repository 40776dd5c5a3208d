"""Step 6: one after the other, or the new beside the old? Which of the two holds for a service, and why.

Two writers of the same files are no good idea for any program that was not made for it. So a service that has
kept something, wherever it did, is recreated unless its author says otherwise; one that keeps nothing is
replaced without a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reconciler.decide.actions import Look

if TYPE_CHECKING:
    from manifests.model.service import Service
    from reconciler.decide.draft import Draft
    from reconciler.decide.replicas import Replicas
    from reconciler.decide.world import World
    from runtimes.base import Kept

Strategy = Literal["rolling", "recreate"]


@dataclass(frozen=True, slots=True)
class Choice:
    """`because` is a part of a sentence for a person: `recreate, because it keeps files in data/app`."""

    strategy: Strategy
    because: str


def decide_strategy(world: World, replicas: Replicas, draft: Draft) -> Strategy | None:
    """How the target takes over from what is there; None when nobody has to, or somebody has to look first.

    That is looked at once, when the target is about to take over.
    """
    if not replicas.vacant:
        return None
    target = replicas.target.service
    keeps = draft.history.kept_for(target)
    # What becomes of it when it is given up may depend on that, too.
    wanted = depends_on_what_it_keeps(target) or target.manifest.update.on_failure == "ask"
    if keeps is None and world.instances and wanted:
        running = next((i for i in world.instances if i.revision != target.revision), world.instances[0])
        draft.actions.append(Look(target, running.service))
        return None
    what = keeps.what if keeps else ""
    # The way back from a declared revision is no other than the way to it.
    asked = {choose(each, what).strategy for each in (target, world.service) if each}
    return "recreate" if "recreate" in asked else "rolling"


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
