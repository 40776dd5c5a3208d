"""Containers that have ended and may run again, as with Compose: what a program wrote inside of one is kept.

Only those are kept that can be written to. When the same revision is started in the same slot, its
container is started once more; it goes when its revision is needed no more, or would be made otherwise now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import anyio

    from manifests.model.service import Service
    from runtimes.base import Launch


@dataclass(frozen=True, slots=True)
class Ended:
    """One of them. `logged` is set once its last output is here; None where nobody copies it any more."""

    container: str
    instance: str
    service: Service
    slot: int
    networks: tuple[str, ...] = ()
    logged: anyio.Event | None = None


class EndedContainers:
    """The last one for each revision and slot."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, int], Ended] = {}

    def __iter__(self) -> Iterator[Ended]:
        return iter(list(self._kept.values()))

    def keep(self, ended: Ended) -> Ended | None:
        """Returns the one whose place it takes."""
        place = (ended.service.id, ended.service.revision, ended.slot)
        before, self._kept[place] = self._kept.get(place), ended
        return before if before is not None and before.container != ended.container else None

    def find(self, of: Launch | Ended) -> Ended | None:
        """The one of that revision, in that slot."""
        return self._kept.get((of.service.id, of.service.revision, of.slot))

    def remove(self, ended: Ended) -> None:
        self._kept.pop((ended.service.id, ended.service.revision, ended.slot), None)

    def of_container(self, container: str) -> Ended | None:
        return next((each for each in self._kept.values() if each.container == container), None)

    def unneeded(self, service_id: str, keep: Collection[Service]) -> list[Ended]:
        revisions = {each.revision for each in keep}
        return [
            each for each in self if each.service.id == service_id and each.service.revision not in revisions
        ]


def is_worth_keeping(service: Service) -> bool:
    """Whether its program can have written anything into its container."""
    return not service.manifest.read_only


def is_same(found: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a container is what would be made now: image, environment, what is mounted from outside.

    All else stands in the manifest, and so in the revision.
    """
    has = set(found["Config"].get("Env") or ())
    mounts = {
        (str(each.get("Name") or each.get("Source")), str(each.get("Destination")))
        for each in found.get("Mounts") or ()
    }
    wanted = {(each["Source"], each["Target"]) for each in body["HostConfig"]["Mounts"]}
    return bool(found["Image"] == body["Image"] and has >= set(body["Env"]) and mounts >= wanted)
