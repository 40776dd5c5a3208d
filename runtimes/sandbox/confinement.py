"""What a service's manifest asks for, and what follows from its silence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from manifests.model.authority import OWN_IDS
from manifests.model.confined import Bind, parse_bind

if TYPE_CHECKING:
    from manifests.model.service import Service

Level = Literal["none", "private", "strict"]

#: Of manifests that say nothing, where their node's owner says nothing either.
DEFAULT: Level = "private"
#: Why something that should be in a sandbox runs without.
STARTED_BEFORE = "it runs as it was started, without; its next start has one"


@dataclass(frozen=True, slots=True)
class Confinement:
    """How far one service is kept apart.

    `said`: its manifest says so. `demanded`: it does not run where that cannot be enforced; what is not
    demanded falls back to none, and that is told. `binds`: what it sees of the machine in *strict*;
    `destinations`: where it may connect to from there, `host:port` each.
    """

    level: Level = "none"
    said: bool = False
    binds: tuple[Bind, ...] = ()
    destinations: tuple[str, ...] = ()

    @property
    def demanded(self) -> bool:
        return self.level == "strict"


def confinement_of(service: Service, default: Level = DEFAULT) -> Confinement:
    """Of a program of this machine; containers have their engine's. `default`: of those that say nothing."""
    manifest = service.manifest
    if manifest.sandbox is None:
        # The node's own services serve it from its home: parts of it, not its guests.
        own = service.id.startswith(OWN_IDS)
        return Confinement("none" if own else default)
    binds = tuple(parse_bind(each) for each in manifest.binds)
    return Confinement(manifest.sandbox, True, binds, manifest.destinations)
