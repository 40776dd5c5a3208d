"""How far the services of others are let in: what they ask for beside what was granted, and their number.

What is decided of these is in `decide.grants` and `decide.counts`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from manifests.model.rights import Right
from reconciler.decide.counts import Counted, too_many
from reconciler.decide.grants import OPEN, Gate, demanded, gate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from manifests.model.merge import Winner
    from manifests.model.policy import Policy
    from manifests.model.service import Service
    from manifests.model.spec import Resources


class Grants(Protocol):
    """What a person granted; `reconciler.state.grants.GrantsFile` is the real one."""

    def all(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """(owner, service's id) → the ids of the rights that it has."""
        ...

    def of(self, owner: str, service_id: str) -> frozenset[str]: ...

    def put(self, owner: str, service_id: str, rights: Collection[str]) -> None:
        """From now on it has these. Returns once it is on disk; raises OSError with nothing changed."""
        ...

    def forget(self, owner: str) -> None:
        """Nobody has anything of that owner's any more; as `put`."""
        ...


class NoGrants:
    """Nothing is granted, and what is is forgotten with the node."""

    def __init__(self) -> None:
        self._granted: dict[tuple[str, str], frozenset[str]] = {}

    def all(self) -> Mapping[tuple[str, str], frozenset[str]]:
        return self._granted

    def of(self, owner: str, service_id: str) -> frozenset[str]:
        return self._granted.get((owner, service_id), frozenset())

    def put(self, owner: str, service_id: str, rights: Collection[str]) -> None:
        self._granted[owner, service_id] = frozenset(rights)

    def forget(self, owner: str) -> None:
        self._granted = {key: rights for key, rights in self._granted.items() if key[0] != owner}


class GateKeeper:
    """`owner_of`: as whom a source's services act. `known`: what runs of one, ran last, or is wanted.

    `lacking`: which of these limits nothing on this machine keeps a program to, by their keys.
    """

    def __init__(
        self,
        grants: Grants,
        owner_of: Callable[[str], str],
        known: Callable[[str], Collection[Service]],
        lacking: Callable[[Resources], Sequence[str]] = lambda _: (),
    ) -> None:
        self.grants = grants
        self._lacking = lacking
        self._owner_of = owner_of
        self._known = known

    def judge(self, services: Mapping[str, Winner]) -> dict[str, Gate]:
        """Id → how far, of those that are not let in just so."""
        brought: dict[str, list[tuple[str, Winner, Policy]]] = defaultdict(list)
        for service_id, winner in services.items():
            if (policy := winner.declared.policy) is not None:
                brought[winner.source].append((service_id, winner, policy))
        found: dict[str, Gate] = {}
        for source, those in brought.items():
            found |= self._judge(source, those)
        return {service_id: each for service_id, each in found.items() if each != OPEN}

    def _judge(self, source: str, those: Sequence[tuple[str, Winner, Policy]]) -> dict[str, Gate]:
        owner = self._owner_of(source)
        known = {service_id: list(self._known(service_id)) for service_id, *_ in those}
        refused = too_many(
            those[0][2],
            [
                Counted(service_id, winner.declared.manifest.slots, _instances(known[service_id], source))
                for service_id, winner, _ in those
            ],
        )
        return {
            service_id: gate(
                policy,
                winner.declared.manifest,
                self.grants.of(owner, service_id),
                known[service_id],
                source,
                refused.get(service_id, ""),
                self._lacking(demanded(policy, winner.declared.manifest)),
            )
            for service_id, winner, policy in those
        }

    def rows(self, services: Mapping[str, Winner], gates: Mapping[str, Gate]) -> list[dict[str, Any]]:
        """All rights that are asked for or granted, for people and programs, in the order of services."""
        left = dict(self.grants.all())
        rows: list[dict[str, Any]] = []
        for service_id, found in gates.items():
            source = services[service_id].source
            granted = left.get((self._owner_of(source), service_id), frozenset())
            left[self._owner_of(source), service_id] = granted - {right.id for right in found.rights}
            rows += [_row(service_id, source, right, granted=right.id in granted) for right in found.rights]
        for (owner, service_id), unasked in left.items():
            # It may ask again.
            what, why = "", "it does not ask for it now"
            rows += [
                _row(service_id, owner, Right(each, what, why), granted=True) for each in sorted(unasked)
            ]
        return sorted(rows, key=lambda row: (row["service"], row["source"], row["id"]))

    def change(self, service_id: str, source: str, rights: Collection[str]) -> None:
        """The source's service has these from now on. Raises OSError with nothing changed."""
        self.grants.put(self._owner_of(source), service_id, rights)


def _row(service_id: str, source: str, right: Right, *, granted: bool) -> dict[str, Any]:
    return {
        "service": service_id, "source": source, "id": right.id, "what": right.what, "why": right.why,
        "granted": granted,
    }  # fmt: skip


def _instances(known: Sequence[Service], source: str) -> int | None:
    """How many the source's service was let have last; None: it is a new one."""
    return max((service.manifest.slots for service in known if service.source == source), default=None)
