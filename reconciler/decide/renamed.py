"""A service that has got another id in its manifest is a new one to the node, and begins empty. Pure.

Nothing is moved by itself: nobody can know whether it is meant to go on with what the old one kept. But where
one id went and one came, in the same source and with the same program, a person should know where to look.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from reconciler.decide.conditions import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from manifests.model.manifest import Manifest
    from manifests.model.merge import Winner
    from manifests.model.service import Service

DATA_UNDER_OLD_ID = "DataUnderOldId"


class _Program(NamedTuple):
    """What makes a service the same as another one: who declares it, and what it runs."""

    declared_by: str
    runs: tuple[object, ...]


class Renames:
    """Which services were others before. `is_held` tells whether there is anything in an id's data folder."""

    def __init__(self, is_held: Callable[[str], bool]) -> None:
        self._is_held = is_held
        self._before: dict[str, str] = {}

    def look(
        self, used: Mapping[str, Service], now: Mapping[str, Winner], before: Collection[str] = ()
    ) -> None:
        """`used`: what runs, is wanted or was healthy last. `before`: ids that were declared until now."""
        gone = {each: _program(used[each].source, used[each].manifest) for each in used.keys() - now.keys()}
        new = {
            each: _program(now[each].source, now[each].declared.manifest)
            for each in now.keys() - used.keys() - set(before)
        }
        ended, begun = _by_program(gone), _by_program(new)
        for program, ids in begun.items():
            if len(ids) == 1 and len(ended.get(program, ())) == 1:
                self._before[ids[0]] = ended[program][0]

    def ids(self) -> Collection[str]:
        """The services that may have had another id."""
        return self._before.keys()

    def keep(self, service_ids: Collection[str]) -> None:
        """Of these only; one that has its former id again is gone by that, too."""
        self._before = {
            new: old for new, old in self._before.items() if new in service_ids and old not in service_ids
        }

    def note(self, service_id: str) -> Verdict | None:
        """Where its data is, as long as that is so."""
        old = self._before.get(service_id)
        if old is None or not self._is_held(old):
            return None
        return Verdict(
            DATA_UNDER_OLD_ID,
            f"what it kept as {old} is not its own under the new id: data/{old}, kept/{old}; to go on with "
            f"that, write id: {old} again, or take its manifest away until it has ended, put both in the "
            f"place of data/{service_id} and kept/{service_id}, and bring it back",
        )


def _program(source: str, manifest: Manifest) -> _Program:
    return _Program(source, (manifest.source, manifest.image, manifest.command))


def _by_program(services: Mapping[str, _Program]) -> Mapping[_Program, list[str]]:
    found: defaultdict[_Program, list[str]] = defaultdict(list)
    for service_id, program in services.items():
        found[program].append(service_id)
    return found
