"""Which nodes run a service: its `nodes:` names them, or a label that they have. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifests.model.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Place:
    """A node, as far as `nodes:` can choose it."""

    name: str
    labels: frozenset[str] = frozenset()


def runs_on(manifest: Manifest, place: Place) -> bool:
    """Whether the node at this place is one that the manifest chooses. All are when it chooses none.

    What goes to a swarm chooses machines of the swarm, and is handed to it wherever it is declared.
    """
    if manifest.nodes is None or manifest.placement == "swarm":
        return True
    return any(
        each == place.name if isinstance(each, str) else each.label in place.labels for each in manifest.nodes
    )
