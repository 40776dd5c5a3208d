"""The server database's tables in memory, so that no call has to ask for them.

They follow the database by a watch. What this process writes there itself is taken at once, by its block's
number: what the watch brings later, or brought from before, changes nothing about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hyper.adb.rules.entries import DATABASES, USERS, entry_of
from hyper.port import Changes, Listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyper.adb.rules.entries import Entry
    from hyper.port import Event, Hyper, RecordPath

T = TypeVar("T")


class Table(Generic[T]):
    """One table: `entries` by the rest of their path, as `read` takes them; None from it is no entry."""

    def __init__(self, prefix: RecordPath, read: Callable[[str, Any], T | None]) -> None:
        self.prefix = prefix
        self.entries: dict[str, T] = {}
        self._read = read
        self._seqs: dict[str, int] = {}

    def take(self, event: Event) -> None:
        """What a watch brings."""
        if isinstance(event, Listing):
            listed = {record.path for record in event.records}
            for key in [key for key in self._seqs if (*self.prefix, key) not in listed]:
                self.apply((*self.prefix, key), event.position.version - 1, None, deleted=True)
            for record in event.records:
                self.apply(record.path, record.seq, record.value)
        elif isinstance(event, Changes):
            for change in event.changes:
                self.apply(change.path, change.seq, change.value, deleted=change.deleted)

    def apply(self, path: RecordPath, seq: int, value: Any, *, deleted: bool = False) -> None:
        """What was written in block `seq`; older blocks change nothing."""
        size = len(self.prefix)
        if path[:size] != self.prefix or len(path) != size + 1 or self._seqs.get(path[size], -1) > seq:
            return
        key = path[size]
        self._seqs[key] = seq
        entry = None if deleted else self._read(key, value)
        if entry is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = entry


class Tables:
    """Those that this service goes by. `server_db` is the id of the server database."""

    def __init__(self, server_db: str) -> None:
        self.server_db = server_db
        self.databases: Table[Entry] = Table(DATABASES, entry_of)
        self.admins: Table[bool] = Table(USERS, _is_admin)

    def apply(self, path: RecordPath, seq: int, value: Any, *, deleted: bool = False) -> None:
        """What was just written to the server database."""
        for table in (self.databases, self.admins):
            table.apply(path, seq, value, deleted=deleted)

    def entry(self, db_id: str) -> Entry | None:
        return self.databases.entries.get(db_id)


def _is_admin(key: str, value: Any) -> bool | None:
    return True if isinstance(value, dict) and value.get("role") == "admin" else None


async def follow(hyper: Hyper, db_id: str, table: Table[Any], seen: Callable[[], None]) -> None:
    """Keeps a table as the database has it, for ever; `seen` is called once all of it is known."""
    async for event in hyper.watch(db_id, table.prefix):
        table.take(event)
        if isinstance(event, Listing):
            seen()
