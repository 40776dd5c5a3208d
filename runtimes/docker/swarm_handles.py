"""The services of a swarm that this life of a node started or adopted, and what the engine said of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import anyio

from runtimes.base import Endpoint
from runtimes.docker.handles import Handle
from runtimes.docker.starting import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtimes.base import Copy, Exit
    from runtimes.docker.swarm_tasks import Task

UNKNOWN_PRIVILEGES = "this engine knows no-new-privileges for no task of a swarm; newer ones may"


@dataclass(eq=False, slots=True)
class Swarmed(Handle):
    """One service of the swarm; `container` is its id there.

    `lacking` says why fewer tasks serve than should. `proved`: all of them passed its probe once. `removed`:
    it is gone from the swarm, its tasks may not be. `ended`: how, when it did by itself.
    """

    tasks: Sequence[Task] = ()
    lacking: str = "no task was seen yet"
    proved: bool = False
    removed: bool = False
    ended: Exit | None = None
    copying: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def take(self, places: tuple[Copy, ...], lacking: str) -> None:
        """Where it runs now."""
        assert self.running
        endpoint = next((each.endpoint for each in places if each.endpoint), NOWHERE)
        self.running = replace(self.running, copies=places, endpoint=endpoint)
        self.lacking = lacking


#: Where an instance listens of which no task does.
NOWHERE = Endpoint(port=0)


def started_at(found: Mapping[str, Any]) -> float:
    """When a service was made, in seconds since 1970."""
    return seconds(str(found.get("CreatedAt", "")))


def unenforced(found: Mapping[str, Any]) -> tuple[str, ...]:
    """What the engine forgot of what it was told: the one thing that older ones do not know."""
    container = found["Spec"]["TaskTemplate"]["ContainerSpec"]
    known = (container.get("Privileges") or {}).get("NoNewPrivileges")
    return () if known else (UNKNOWN_PRIVILEGES,)
