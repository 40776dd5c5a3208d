"""One subscription of a change feed: what a watch brings, as notifications for its subscriber.

Notifications are JSON-RPC 2.0, each with one param:

    records {subscription, fork, version, records, more}   all there is, instead of what came before
    changes {subscription, fork, from, to, changes}        what was written since; {…, deleted: true} too
    forked  {subscription}                                 the database's log is broken; nothing follows
    ended   {subscription, error: {code, message}}         the subscriber may not, or the database cannot

Whoever keeps `fork` with `version` or `to` goes on from there later: `{since: {fork, version}}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from hyper.adb.rules.errors import RpcError, translated
from hyper.adb.rules.paths import shown, shown_at
from hyper.port import Changes, HyperError, Listing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from hyper.port import Change, Event, Hyper, Position, RecordPath

    Send = Callable[[bytes], Awaitable[None]]

#: Records in one message.
RECORDS_AT_ONCE = 500


class Subscription:
    """`allowed` raises RpcError once the subscriber may no longer see the database."""

    def __init__(self, number: int, db_id: str, prefix: RecordPath, since: Position | None) -> None:
        self.number = number
        self.db_id = db_id
        self.prefix = prefix
        self.since = since

    async def run(self, hyper: Hyper, send: Send, allowed: Callable[[], Awaitable[object]]) -> None:
        """For ever, or until it is over and the subscriber was told. `send` returns when it may go on."""
        try:
            async for event in hyper.watch(self.db_id, self.prefix, self.since):
                await allowed()
                for method, told in self._told(event):
                    await send(_notification(method, {"subscription": self.number, **told}))
        except HyperError as error:
            await send(self._ended(translated(error)))
        except RpcError as error:
            await send(self._ended(error))

    def _told(self, event: Event) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(event, Listing):
            yield from self._records(event)
        elif isinstance(event, Changes):
            yield (
                "changes",
                {
                    "fork": event.position.fork,
                    "from": event.start.version,
                    "to": event.position.version,
                    "changes": [self._change(change) for change in event.changes],
                },
            )
        else:
            yield "forked", {}

    def _records(self, listing: Listing) -> Iterator[tuple[str, dict[str, Any]]]:
        position, records = listing.position, listing.records
        for start in range(0, max(1, len(records)), RECORDS_AT_ONCE):
            end = start + RECORDS_AT_ONCE
            yield (
                "records",
                {
                    "fork": position.fork,
                    "version": position.version,
                    "records": [shown(self.db_id, record, self.prefix) for record in records[start:end]],
                    "more": end < len(records),
                },
            )

    def _change(self, change: Change) -> dict[str, Any]:
        told = shown_at(self.db_id, change.path, change.seq, change.value, self.prefix)
        if change.deleted:
            del told["value"]
            told["deleted"] = True
        return told

    def _ended(self, error: RpcError) -> bytes:
        told = {"code": error.code, "message": error.message}
        return _notification("ended", {"subscription": self.number, "error": told})


def _notification(method: str, param: dict[str, Any]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": [param]})
