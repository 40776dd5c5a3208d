"""Manifests from the records of a Hypercore database: this node's own, or another node's that it follows.

What cannot be run as it was written is told by problems that name the service and a reason: BrokenRecord (it
is no service), PolicyForbids (the follow does not allow it), Fetching and FetchFailed (its package is not
here yet; it is tried for ever), or what `manifests.resolve` says of its package. Problems of the whole source
have a reason and no service: LogForked, AllowEmpty, Damaged, Away, Unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from hyper.port import Database, Hyper, Position
    from manifests.nodes import Place
    from manifests.policy import Policy
    from manifests.record import Recorded
    from manifests.snapshot import Snapshot, SourceKind
    from manifests.sources.drives import DriveCache


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source has come. `applied` is None until the database, or what was kept of it, was read.

    `database` is what the daemon said last (known, version, peers, synced, conflict); None before its first
    answer. `forked`: its log was, and it is followed no further.
    """

    applied: Position | None = None
    database: Database | None = None
    forked: bool = False

    @property
    def lag(self) -> int:
        """Blocks that are known to be there and were not applied."""
        known = self.database.known if self.database else 0
        return max(0, known - (self.applied.version if self.applied else 0))


class RecordSource:
    """Implements `manifests.snapshot.Source`.

    `database` makes or opens the database (`lambda: hyper.create("records")`, `lambda: hyper.open(key)`); it
    is called until it answers. `folder` is where the last good state is kept (`state/snapshots`). `policy` None:
    the node's own database, which may use local folders (`base` is where relative ones start).
    """

    def __init__(
        self,
        hyper: Hyper,
        database: Callable[[], Awaitable[Database]],
        name: str,
        kind: SourceKind,
        *,
        place: Place,
        drives: DriveCache,
        folder: Path,
        policy: Policy | None = None,
        base: str = "/",
    ) -> None:
        raise NotImplementedError

    @property
    def name(self) -> str:
        raise NotImplementedError

    @property
    def snapshot(self) -> Snapshot:
        """See `Source`. Unchanged records keep the very same `Declared`; their file is `<source>:<id>`."""
        raise NotImplementedError

    @property
    def state(self) -> SourceState:
        raise NotImplementedError

    @property
    def recorded(self) -> Mapping[str, Recorded]:
        """Service id → the record that is declared: its key, its owner, who wrote it."""
        raise NotImplementedError

    async def scan(self) -> None:
        """See `Source`. The first time it reads what was kept on the disk, and waits for no daemon."""
        raise NotImplementedError

    async def watch(self, changed: Callable[[], None]) -> None:
        """See `Source`."""
        raise NotImplementedError

    def set_policy(self, policy: Policy) -> None:
        """Judges everything again. Only while it is watched does anybody hear of what changes."""
        raise NotImplementedError

    def accept_empty(self) -> None:
        """A person says that it is right that all services are gone."""
        raise NotImplementedError

    def forget(self) -> None:
        """Deletes what was kept on the disk: the source is no more."""
        raise NotImplementedError
