"""The records of a version as a source, for `atek plan --at`: what this node would make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyper.client import HyperClient
from hyper.port import Record
from manifests.model.snapshot import Problem, Snapshot
from manifests.sources.drives import DriveCache
from manifests.sources.entries import Entries
from manifests.sources.judging import Judge
from reconciler.peers.follows import FollowsFile
from reconciler.peers.port import RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from manifests.model.nodes import Place
    from manifests.model.snapshot import SourceKind
    from manifests.sources.entries import Entry

_ELSEWHERE = "it is fetched once it is to run"


class RecordsCheckout:
    """Implements `manifests.model.snapshot.Source`; `node`: the follow that has these records, or empty.

    Reads packages that are here, and fetches none.
    """

    def __init__(self, home: Path, place: Place, node: str, records: Sequence[Mapping[str, Any]]) -> None:
        self.name = node or RECORDS
        kind: SourceKind = "follow" if node else "record"
        follows = {follow.name: follow for follow in FollowsFile(home).read()}
        policy = follows[node].policy if node in follows else None
        # A client that nobody runs reaches nothing, and only what is here is looked for.
        drives = DriveCache(HyperClient(""), home / "packages" / ".drives")
        judge, entries = Judge(self.name, place, drives, policy), Entries("/")
        for each in records:
            entries.put(Record(tuple(each["path"]), each["seq"], each["value"]), judge)
        found = list(entries.in_order())
        declared = tuple(entry.declared for entry in found if entry.declared)
        self.snapshot = Snapshot(self.name, kind, "", declared, tuple(self._problems(found)))

    async def scan(self) -> None:
        """A version of the past stays as it is."""

    async def watch(self, changed: Callable[[], None]) -> None:
        """Nothing ever changes."""

    def _problems(self, entries: Sequence[Entry]) -> Iterator[Problem]:
        for entry in entries:
            judged = entry.judgement
            if judged.problem is not None:
                yield judged.problem
            elif judged.waits_for is not None and judged.recorded is not None:
                message = f"its package, version {judged.waits_for.version} of its drive, is not here"
                where = f"{self.name}:{judged.recorded.id}"
                yield Problem(message, where, hint=_ELSEWHERE, service=judged.recorded.id)
