"""What a service may, as a person reads it under `may:` in its status. Pure.

Each line is one kind of right, made by a function of its own from what is declared: who adds a kind of right
adds a function to `_KINDS`. What is not told here it does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.model.authority import OWN_APIS, OWN_IDS
from manifests.model.confined import parse_bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from manifests.model.manifest import Manifest
    from manifests.model.service import Service

#: Of the runtime of containers.
_CONTAINERS = ("docker", "swarm")


@dataclass(frozen=True, slots=True)
class May:
    """One kind of right: `what` it is in a word, which a program finds it by, and how far it goes."""

    what: str
    how: str

    def to_json(self) -> dict[str, str]:
        return {"what": self.what, "how": self.how}


def what_it_may(service: Service, owner: str) -> tuple[May, ...]:
    """`owner`: as whom it calls others, a user's key or `system`."""
    told = ((kind, tell(service, owner)) for kind, tell in _KINDS)
    return tuple(May(kind, how) for kind, how in told if how)


def _calls(service: Service, owner: str) -> str:
    allow = service.manifest.allow
    if allow is None:
        return "whatever other services export; none of the node's own APIs"
    if not allow:
        return "no API"
    as_whom = f", as {owner}" if any(each.startswith(OWN_APIS) for each in allow) else ""
    return _listed(allow) + as_whom


def _exports(service: Service, _owner: str) -> str:
    return _listed(dict.fromkeys(each.api for each in service.exports))


def _sandbox(service: Service, _owner: str) -> str:
    if service.runtime in _CONTAINERS:
        return f"a container{f' of {service.manifest.isolation}' if service.manifest.isolation else ''}"
    if service.id.startswith(OWN_IDS):
        return "none: a part of the node"
    return service.manifest.sandbox or "what the config file says, else private"


def _egress(service: Service, _owner: str) -> str:
    manifest = service.manifest
    if manifest.destinations:
        return _listed(manifest.destinations)
    if service.runtime in _CONTAINERS:
        if manifest.network == "host":
            return "this machine's network"
        return "any other machine" if manifest.egress and manifest.network != "none" else "no other machine"
    return "no other machine" if manifest.sandbox == "strict" else "this machine's network"


def _sees(service: Service, _owner: str) -> str:
    return _listed([*_binds(service.manifest), *(v for v in service.manifest.volumes if v.startswith("/"))])


def _binds(manifest: Manifest) -> Iterator[str]:
    for bind in map(parse_bind, manifest.binds):
        yield f"{bind.path}{'' if bind.read_only else ' (and writes there)'}"


def _secrets(service: Service, _owner: str) -> str:
    return _listed(sorted(service.manifest.secrets))


def _publishes(service: Service, _owner: str) -> str:
    return _listed(service.manifest.publish)


def _capabilities(service: Service, _owner: str) -> str:
    return _listed(service.manifest.capabilities)


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)


_KINDS: tuple[tuple[str, Callable[[Service, str], str]], ...] = (
    ("call", _calls),
    ("export", _exports),
    ("sandbox", _sandbox),
    ("reach", _egress),
    ("see", _sees),
    ("publish", _publishes),
    ("capabilities", _capabilities),
    ("secrets", _secrets),
)
