"""Whether what runs of a service is kept apart as it should be, as a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.conditions import Condition
from runtimes.sandbox.confinement import STARTED_BEFORE, confinement_of
from runtimes.sandbox.troubles import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Collection

    from runtimes.base import Running

_CONTAINERS = ("docker", "swarm")


def sandboxed(running: Collection[Running]) -> Condition | None:
    """Of all instances of a service; None where there is nothing to say."""
    programs = [each for each in running if each.service.runtime not in _CONTAINERS]
    if not programs:
        return None
    # The one that is kept apart least says what holds.
    least = min(programs, key=lambda each: ("none", "private", "strict").index(each.sandbox))
    if least.sandbox != "none":
        return Condition("Sandboxed", "True", least.sandbox.title(), _SENTENCES[least.sandbox])
    wanted = confinement_of(least.service)
    if least.unconfined == STARTED_BEFORE or (wanted.level != "none" and not least.unconfined):
        return Condition("Sandboxed", "False", "StartedBefore", STARTED_BEFORE)
    if least.unconfined:
        message = f"nothing keeps it from the node's home and other services: {least.unconfined}"
        return Condition("Sandboxed", "False", UNAVAILABLE, message)
    asked = Condition("Sandboxed", "False", "NotAsked", "its manifest asks for none")
    return asked if wanted.said else None


_SENTENCES = {
    "private": "it sees its own processes, /tmp and folders, and nothing of the node or of other services",
    "strict": "it sees its package, its data, the system read-only, and no network but what it was granted",
}
