"""The sources of records that a node has: its own, and one for each follow; and how far its loop was told."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from hyper.port import Position
from manifests.sources.drives import DriveCache
from manifests.sources.records import RecordSource
from reconciler.drive.status import plain
from reconciler.peers.conditions import conditions_of, lag_of, terms_of
from reconciler.peers.port import RECORDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from hyper.port import Database, Hyper
    from manifests.model.nodes import Place
    from manifests.model.policy import Policy
    from manifests.model.snapshot import SourceKind
    from reconciler.decide.conditions import Condition
    from reconciler.peers.port import Follow, Host

#: Seconds between two looks for packages that nobody needs any more.
COLLECT = 60.0


class RecordSources:
    """Makes them, and knows what to tell of them. `wall` is the time."""

    def __init__(self, hyper: Hyper, home: Path, place: Place, wall: Callable[[], float]) -> None:
        self._host: Host | None = None
        self._hyper = hyper
        self._snapshots = snapshots(home)
        self._place = place
        self._wall = wall
        self._drives = DriveCache(hyper, home / "packages" / ".drives")
        self._sources: dict[str, RecordSource] = {}
        # Of each source, by type: the status that a condition had when it was last looked at, and since when.
        self._transitions: dict[str, dict[str, tuple[str, float]]] = {}
        self._advanced = anyio.Event()

    def begin(self, host: Host) -> None:
        """The node runs: from now on it is told which sources come and go."""
        self._host = host

    def own(self) -> RecordSource:
        """That of this node's own records."""
        return self._make(RECORDS, "record", lambda: self._hyper.create(RECORDS), None)

    def of(self, follow: Follow) -> RecordSource:
        """That of a follow."""
        return self._make(follow.name, "follow", lambda: self._hyper.open(follow.key), follow.policy)

    def add(self, source: RecordSource) -> None:
        """While the node runs."""
        if self._host is not None:
            self._host.add_source(source)

    def judge_by(self, follow: Follow) -> None:
        """The policy of a follow is another."""
        source = self._sources[follow.name]
        source.set_policy(follow.policy)
        if follow.policy.allow_empty:
            source.accept_empty()

    def remove(self, name: str) -> None:
        """With all that was kept of it."""
        if self._host is not None:
            self._host.remove_source(name)
        self._transitions.pop(name, None)
        if (source := self._sources.pop(name, None)) is not None:
            source.forget()

    def status(self, name: str, *, away: bool) -> Mapping[str, Any]:
        """What `status` says about it beside what it says about all sources; `away`: no daemon answers."""
        source = self._sources.get(name)
        if source is None:
            return {}
        state, applied = source.state, self.applied(name)
        conditions = conditions_of(
            state.database, applied, forked=state.forked, away=away, own=name == RECORDS
        )
        return {
            "database": state.database.db_id if state.database else None,
            "position": list(applied) if applied else None,
            "lag": lag_of(state.database, applied),
            "peers": state.database.peers if state.database else 0,
            "conditions": [
                plain(each, self._since(name, each)) for each in (*conditions, *terms_of(source.policy))
            ],
        }

    def _since(self, name: str, condition: Condition) -> float:
        known = self._transitions.setdefault(name, {})
        if condition.type not in known or known[condition.type][0] != condition.status:
            known[condition.type] = condition.status, self._wall()
        return known[condition.type][1]

    # -- how far the loop was told

    def heard(self) -> None:
        """The loop was told of something."""
        advanced, self._advanced = self._advanced, anyio.Event()
        advanced.set()

    def applied(self, name: str) -> Position | None:
        """The position that the loop was told of; None before the first."""
        told = self._host.applied(name) if self._host else None
        source = self._sources[name]
        if told is None:
            return None
        # What was written since, and is no service, changes no snapshot.
        return source.state.applied if told is source.snapshot else _position(told.revision)

    async def until(self, name: str, version: int) -> None:
        """Returns once the loop was told of this version."""
        while (self.applied(name) or Position(0, 0)).version < version:
            await self._advanced.wait()

    # -- packages

    async def collect(self) -> None:
        """Deletes fetched packages that nobody needs, now and then, until cancelled."""
        while True:
            await anyio.sleep(COLLECT)
            assert self._host is not None
            with suppress(OSError):
                await self._drives.collect(self._host.packages_in_use())

    def _make(
        self, name: str, kind: SourceKind, database: Callable[[], Awaitable[Database]], policy: Policy | None
    ) -> RecordSource:
        source = RecordSource(
            self._hyper,
            database,
            name,
            kind,
            place=self._place,
            drives=self._drives,
            folder=self._snapshots,
            policy=policy,
        )
        self._sources[name] = source
        return source


def snapshots(home: Path) -> Path:
    """Where the last good state of each source is kept."""
    return home / "state" / "snapshots"


def _position(revision: str) -> Position | None:
    """What a source of records has for a revision: `fork.version`."""
    found = re.fullmatch(r"([0-9]+)\.([0-9]+)", revision)
    return Position(int(found[1]), int(found[2])) if found else None
