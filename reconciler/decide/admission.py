"""Which declarations count: the merge of the sources, without those that must not run here. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from manifests.model.merge import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from manifests.model.merge import Merged, Winner
    from manifests.model.snapshot import Problem, Snapshot


def admit(
    snapshots: Sequence[Snapshot],
    before: Mapping[str, Winner],
    refused: Callable[[Mapping[str, Winner]], Mapping[str, Problem]],
) -> tuple[Merged, Sequence[Snapshot]]:
    """The desired state, and the snapshots that it was made of.

    A winner that `refused` names is taken out of its snapshot, which tells why, and the next who declares
    the id has its turn: what does not run stops nothing that does.
    """
    merged = merge(snapshots, before)
    while problems := refused(merged.services):
        snapshots = [_without(snapshot, problems, merged.services) for snapshot in snapshots]
        merged = merge(snapshots, before)
    return merged, snapshots


def _without(snapshot: Snapshot, problems: Mapping[str, Problem], services: Mapping[str, Winner]) -> Snapshot:
    lost = {each for each in problems if services[each].source == snapshot.source}
    if not lost:
        return snapshot
    kept = tuple(each for each in snapshot.services if each.manifest.id not in lost)
    told = (*snapshot.problems, *(problems[each] for each in sorted(lost)))
    return replace(snapshot, services=kept, problems=told)
