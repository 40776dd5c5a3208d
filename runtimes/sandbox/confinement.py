"""What a service's manifest asks for, and what follows from its silence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from manifests.model.confined import Bind, parse_bind

if TYPE_CHECKING:
    from manifests.model.service import Service

Level = Literal["none", "private", "strict"]

#: Whose manifests say nothing: the owner's own.
DEFAULT: Level = "none"
#: The node's own services, which serve it from its home: parts of it, not its guests.
_OWN_IDS = "core."


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


def confinement_of(service: Service) -> Confinement:
    """Of a program of this machine; containers have their engine's."""
    manifest = service.manifest
    if manifest.sandbox is None:
        own = service.id.startswith(_OWN_IDS)
        return Confinement("none" if own else DEFAULT)
    binds = tuple(parse_bind(each) for each in manifest.binds)
    return Confinement(manifest.sandbox, True, binds, manifest.destinations)
