"""Step 5: who is there of the target, slot by slot, and who of them has no place or does no good?

Surplus instances, doubled ones and broken ones are asked to end; the slots in which nobody is are vacant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.decide.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.decide.draft import Draft
    from reconciler.decide.progress import Target
    from reconciler.decide.world import Instance, World


@dataclass(frozen=True, slots=True)
class Replicas:
    """`current`: the target's live instances, one a slot. `others`: live ones of other revisions.

    `covered`: the slots that are ready, or whose program has completed. `vacant`: those without anybody.
    `mixed`: whether anything of another revision is still there, on its way out or not.
    """

    target: Target
    current: tuple[Instance, ...]
    others: tuple[Instance, ...]
    covered: frozenset[int]
    vacant: frozenset[int]
    mixed: bool


def take_stock(world: World, target: Target, draft: Draft) -> Replicas:
    """Also asks those to end that have no place, or are broken."""
    revision, slots = target.service.revision, frozenset(range(target.service.manifest.slots))
    live = [each for each in world.instances if each.live and each.id not in draft.stopped]
    of_target = [each for each in live if each.revision == revision]
    current = _one_per_slot([each for each in of_target if each.slot in slots], draft)
    for surplus in of_target:
        if surplus.slot not in slots:
            draft.stop(surplus, "ScaledDown")
    _replace_broken(world.now, target, current, draft)
    return Replicas(
        target,
        current,
        others=tuple(each for each in live if each.revision != revision),
        covered=target.completed | {each.slot for each in current if each.ready},
        vacant=slots - target.completed - {each.slot for each in current},
        mixed=any(each.revision != revision for each in world.instances),
    )


def _one_per_slot(instances: Iterable[Instance], draft: Draft) -> tuple[Instance, ...]:
    """A node that died has forgotten that it asked one of two to end, beside which the other was started."""
    chosen: dict[int, Instance] = {}
    for instance in sorted(instances, key=lambda each: each.ready):
        if doubled := chosen.get(instance.slot):
            draft.stop(doubled, "Doubled")
        chosen[instance.slot] = instance
    return tuple(chosen.values())


def _replace_broken(now: float, target: Target, current: Iterable[Instance], draft: Draft) -> None:
    """Stops what a probe condemned, and what hangs in its start although its revision once was healthy."""
    for instance in current:
        if instance.state is State.FAILING:
            draft.stop(instance, "ProbeFailed", crash=True)
        elif instance.state is State.STARTING and target.proven:
            deadline = instance.since + target.service.manifest.update.healthy_deadline
            if now >= deadline:
                draft.stop(instance, "StartTimedOut", crash=True)
            else:
                draft.look_again(deadline)
