"""The labels that make a container ours, and tell the next life of the node which instance it is. Pure.

They hold what a record on disk holds for a process; but no token, because everybody who may list containers
reads labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from manifests.model.containers import NODE_LABELS
from manifests.model.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.base import Launch

PREFIX = NODE_LABELS
NODE, SERVICE, INSTANCE = f"{PREFIX}.node", f"{PREFIX}.service", f"{PREFIX}.instance"
REVISION, SLOT, SPEC = f"{PREFIX}.revision", f"{PREFIX}.slot", f"{PREFIX}.spec"
#: Of a volume: where its service's image keeps what is in it.
PATH = f"{PREFIX}.path"
#: The port that the service listens on inside; missing when it listens on its socket.
PORT = f"{PREFIX}.port"


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a container's labels say."""

    instance: str
    service: Service
    slot: int
    port: int | None


def labels(node: str, launch: Launch, port: int | None) -> dict[str, str]:
    """All labels of an instance's container."""
    service = launch.service
    found = {
        NODE: node,
        SERVICE: service.id,
        INSTANCE: launch.instance,
        REVISION: service.revision,
        SLOT: str(launch.slot),
        SPEC: orjson.dumps(service.to_json()).decode(),
    }
    return found if port is None else {**found, PORT: str(port)}


def read_labels(found: Mapping[str, str]) -> Labelled | None:
    """None for labels that this version did not write."""
    try:
        port = found.get(PORT)
        return Labelled(
            instance=found[INSTANCE],
            service=Service.from_json(orjson.loads(found[SPEC])),
            slot=int(found[SLOT]),
            port=None if port is None else int(port),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def of_node(node: str) -> dict[str, list[str]]:
    """The filter that finds what belongs to this node, and nothing else."""
    return {"label": [f"{NODE}={node}"]}
