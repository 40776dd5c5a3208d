"""The records of a database: read, written, compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from hyper.adb.rules.errors import refused
from hyper.adb.rules.paths import shown, shown_at
from hyper.adb.rules.schemas import SchemaCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyper.adb.databases import Databases
    from hyper.adb.rules.access import Caller
    from hyper.adb.rules.params import Versions
    from hyper.adb.store import Store
    from hyper.adb.tables import Tables
    from hyper.port import Difference, Range, Record, RecordPath

#: Records that are asked for at once.
PAGE = 1000
#: Of one answer, bytes; the gateway passes on no more.
LARGEST_ANSWER = 32 * 1024 * 1024


class Records:
    """Everything here raises RpcError and HyperError."""

    def __init__(self, store: Store, databases: Databases, tables: Tables) -> None:
        self._store = store
        self._databases = databases
        self._tables = tables
        self._schemas = SchemaCache()

    async def get(self, caller: Caller, name: str, path: RecordPath) -> dict[str, Any]:
        db_id = await self._databases.readable(caller, name)
        record = await self._store.call(db_id, lambda: self._store.hyper.get(db_id, path))
        if record is None:
            raise refused(f"Not found: {','.join(path)}")
        return shown(db_id, record, path[:-1])

    async def put(self, caller: Caller, name: str, path: RecordPath, value: dict[str, Any]) -> dict[str, Any]:
        """The record as it is on the disk."""
        db_id, entry = self._databases.writable(caller, name)
        if entry is not None and entry.schemas:
            self._schemas.of(entry.schemas).check(path, value)
        record = await self._store.call(db_id, lambda: self._store.hyper.put(db_id, path, value))
        if db_id == self._tables.server_db:
            self._tables.apply(path, record.seq, value)
        return shown_at(db_id, path, record.seq, value, path[:-1])

    async def delete(self, caller: Caller, name: str, path: RecordPath) -> None:
        db_id, _ = self._databases.writable(caller, name)
        await self._store.call(db_id, lambda: self._store.hyper.delete(db_id, path))

    async def listing(self, caller: Caller, name: str, prefix: RecordPath, range: Range) -> dict[str, Any]:
        """All that the range has, as of one version."""
        db_id = await self._databases.readable(caller, name)
        limit = PAGE if range.limit is None else range.limit
        records = await self._page(db_id, prefix, replace(range, limit=min(limit, PAGE)), None)
        if len(records) < PAGE or range.limit == PAGE:
            return {"records": [shown(db_id, record, prefix) for record in records]}
        return {"records": orjson.Fragment(await self._long_list(db_id, prefix, range))}

    async def diff(self, caller: Caller, name: str, versions: Versions) -> list[dict[str, Any]]:
        """What differs between two versions: `left` is what was, `right` what is."""
        db_id = await self._databases.readable(caller, name)
        found: list[dict[str, Any]] = []
        for table in versions.tables or ((),):
            found += await self._differences(db_id, versions, table)
        return found

    async def _differences(self, db_id: str, versions: Versions, table: RecordPath) -> list[dict[str, Any]]:
        ask, left, right = self._store.hyper.diff, versions.left, versions.right
        pairs = await self._store.call(db_id, lambda: ask(db_id, left, right, table))
        return [_difference(db_id, pair, table) for pair in pairs]

    async def _page(
        self, db_id: str, prefix: RecordPath, range: Range, version: int | None
    ) -> Sequence[Record]:
        if range.limit == 0:
            return ()
        ask = self._store.hyper.list
        return await self._store.call(db_id, lambda: ask(db_id, prefix, range, version=version))

    async def _long_list(self, db_id: str, prefix: RecordPath, range: Range) -> bytes:
        """A list of more than a page as JSON, page by page, so that it never stands in memory as objects."""
        version = (await self._store.hyper.info(db_id)).version
        pieces: list[bytes] = []
        size, left = 0, range.limit
        while left is None or left > 0:
            limit = PAGE if left is None else min(PAGE, left)
            records = await self._page(db_id, prefix, replace(range, limit=limit), version)
            if records:
                piece = orjson.dumps([shown(db_id, record, prefix) for record in records])[1:-1]
                pieces.append(piece)
                size += len(piece)
            if len(records) < limit:
                break
            if size > LARGEST_ANSWER:
                raise refused(f"The list is larger than {LARGEST_ANSWER} bytes", hint="set a limit")
            left = None if left is None else left - len(records)
            range = _after(range, records[-1], prefix)
        return b"[%b]" % b",".join(pieces)


def _after(range: Range, last: Record, prefix: RecordPath) -> Range:
    """The rest of a range, once its records up to this one are known."""
    rest = "\0".join(last.path[len(prefix) :])
    if range.reverse:
        return replace(range, lt=rest, lte=None)
    return replace(range, gt=rest, gte=None)


def _difference(db_id: str, pair: Difference, table: RecordPath) -> dict[str, Any]:
    sides = zip(("left", "right"), pair, strict=True)
    return {side: shown(db_id, record, table) for side, record in sides if record is not None}
