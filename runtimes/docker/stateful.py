"""What a container can have kept outside of itself, by what the engine says is mounted in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from runtimes.docker.failures import EngineAnswer, other_failure
from runtimes.docker.spec import DATA, GATEWAY, SOCKETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runtimes.docker.engine import Engine

#: The data folder is looked into; in the others nothing is kept.
_LOOKED_AFTER = (DATA, SOCKETS, GATEWAY)


async def kept_outside(engine: Engine, containers: Iterable[str], data: Path) -> str:
    """A place beside the data folder that one of them may write to, in a few words; empty when there is none.

    Raises RuntimeFailure.
    """
    inside = os.path.realpath(data)
    for container in containers:
        try:
            found = await engine.call("GET", f"/containers/{container}/json")
        except EngineAnswer as answer:
            if answer.missing:
                continue
            raise other_failure(answer, "what a container keeps cannot be seen") from answer
        if place := written_to(found, inside):
            return place
    return ""


def written_to(container: Mapping[str, Any], data: str) -> str:
    """The first place that it may write to besides its data folder (`data`); empty when there is none.

    A volume counts from the moment that it is there: nobody can say cheaply what is in it.
    """
    for mount in container.get("Mounts") or ():
        source = str(mount.get("Source", ""))
        if not mount.get("RW", True) or mount.get("Destination") in _LOOKED_AFTER:
            continue
        if mount.get("Type") == "volume":
            return f"it has a volume at {mount.get('Destination')}"
        if mount.get("Type") == "bind" and not f"{source}/".startswith(f"{data}/"):
            return f"it writes to {source}"
    return ""
