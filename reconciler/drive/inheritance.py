"""The data folders of services: looked into before somebody new has one, and noted as whose they are.

Who may have one is decided by `decide.inheritance`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reconciler.decide.inheritance import may_take, owned, unnoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from manifests.model.merge import Winner
    from manifests.model.snapshot import Problem


class DataOwners(Protocol):
    """The data folders of all services, by the services' ids."""

    def owner(self, service_id: str) -> str:
        """Who was noted last, also when nothing is left there."""
        ...

    def is_held(self, service_id: str) -> bool:
        """Whether there is anything in the folder."""
        ...

    def note(self, owners: Mapping[str, str]) -> None:
        """From now on they are these. Returns once it is on disk; raises OSError with nothing changed."""
        ...


class Inheritance:
    """Who may have the data that the id's last service left.

    `owner_of` is the owner of what a source declares. `ran_for` are the sources of what is known to have run
    of a service: who ran with a folder before owners were noted goes on with it.
    """

    def __init__(
        self,
        folders: DataOwners,
        owner_of: Callable[[str], str],
        ran_for: Callable[[str], Collection[str]],
    ) -> None:
        self._folders = folders
        self._owner_of = owner_of
        self._ran_for = ran_for

    def refused(self, services: Mapping[str, Winner]) -> dict[str, Problem]:
        """Id → why its service must not have the folder. The others' owners are noted."""
        refused, noted = self.judge(services)
        return refused | self._note(noted, services)

    def judge(self, services: Mapping[str, Winner]) -> tuple[dict[str, Problem], dict[str, str]]:
        """Id → why its service must not have the folder; id → the owner to note. Notes nothing."""
        owners = {
            source: self._owner_of(source) for source in {winner.source for winner in services.values()}
        }
        refused: dict[str, Problem] = {}
        noted: dict[str, str] = {}
        for service_id, winner in services.items():
            owner = owners[winner.source]
            if self._folders.owner(service_id) == owner:
                continue
            if self._may_take(service_id, owner):
                noted[service_id] = owner
            else:
                refused[service_id] = owned(service_id, winner)
        return refused, noted

    def is_held(self, service_id: str) -> bool:
        """Whether anything is left of the id's services."""
        return self._folders.is_held(service_id)

    def hand_over(self, service_id: str, source: str) -> None:
        """A person says that the source's service may have what is there. Raises OSError."""
        self._folders.note({service_id: self._owner_of(source)})

    def _may_take(self, service_id: str, owner: str) -> bool:
        return may_take(
            owner,
            noted=self._folders.owner(service_id),
            held=self._folders.is_held(service_id),
            ran_for={self._owner_of(source) for source in self._ran_for(service_id)},
        )

    def _note(self, owners: Mapping[str, str], services: Mapping[str, Winner]) -> dict[str, Problem]:
        if not owners:
            return {}
        try:
            self._folders.note(owners)
        except OSError as error:
            why = error.strerror or str(error)
            return {each: unnoted(each, services[each], why) for each in owners}
        return {}
