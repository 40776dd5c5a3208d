"""The port over the daemon's socket.

`run` keeps one connection for calls and makes it anew whenever it ends; what the daemon has to know (which
databases are open, who may connect, where the peers are) is told again then. A call in between raises AWAY at
once. Each watch has a connection of its own, so that who reads one slowly holds up nobody else, and the
kernel's buffers are all that it can fill; it goes on from the position it told last.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from hyper.connection import Connection, away
from hyper.encoding.wire import (
    Lines,
    bounds,
    changed_of,
    changes_page_of,
    database_of,
    differences_page_of,
    drive_of,
    given,
    op_of,
    optional_record_of,
    position_of,
    records_page_of,
    request_line,
    result_of,
    status_of,
    understand,
    watch_of,
)  # fmt: skip
from hyper.port import Forked, HyperError, Listing, Range, Record
from hyper.stream import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from anyio.abc import ByteStream

    from hyper.port import (
        Change,
        Database,
        Difference,
        Drive,
        Event,
        Peer,
        Position,
        RecordPath,
        Status,
        Write,
    )  # fmt: skip

#: Seconds until a lost connection is tried again, doubling.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_CHUNK = 256 * 1024
_EVERYTHING = Range()


class HyperClient:
    """Implements `port.Hyper`. Nothing works unless `run` does."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._connection: Connection | None = None
        self._ready = anyio.Event()
        self._opened: dict[str, dict[str, Any]] = {}
        self._allowed: list[str] | None = None
        self._peers: dict[str, Peer] = {}

    async def run(self) -> None:
        """Keeps the connection, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                stream = await connect(self._socket)
            except OSError:
                await anyio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            await self._live(Connection(stream))

    async def ready(self) -> None:
        """Returns once the daemon is there and knows what it has to."""
        while self._connection is None:
            await self._ready.wait()

    async def _live(self, connection: Connection) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._restore, connection)
                await connection.run()
                tasks.cancel_scope.cancel()
        finally:
            if self._connection is connection:
                self._connection, self._ready = None, anyio.Event()

    async def _restore(self, connection: Connection) -> None:
        """Tells a daemon, which may have just started, what its predecessor knew."""
        try:
            if self._allowed is not None:
                await connection.call("net.allow", {"keys": self._allowed})
            for peer in list(self._peers.values()):
                await connection.call("net.addPeer", _peer(peer))
        except HyperError:
            return
        for params in list(self._opened.values()):
            try:
                await connection.call("db.open", params)
            except HyperError:
                # It stays closed, and whoever asks for it is told why.
                continue
        self._connection = connection
        self._ready.set()

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """The daemon's own answer to one of its methods. Raises HyperError."""
        if self._connection is None:
            raise away()
        return await self._connection.call(method, params)

    # -- port.Hyper

    async def status(self) -> Status:
        return understand(status_of, await self.call("status", {}))

    async def create(self, name: str, *, encryption_key: str | None = None) -> Database:
        params = given(name=name, encryptionKey=encryption_key)
        database = understand(database_of, await self.call("db.create", params))
        self._opened[database.db_id] = given(dbId=database.db_id, encryptionKey=encryption_key)
        return database

    async def open(self, db_id: str, *, encryption_key: str | None = None) -> Database:
        params = given(dbId=db_id, encryptionKey=encryption_key)
        database = understand(database_of, await self.call("db.open", params))
        self._opened[db_id] = params
        return database

    async def close(self, db_id: str) -> None:
        self._opened.pop(db_id, None)
        await self.call("db.close", {"dbId": db_id})

    async def info(self, db_id: str) -> Database:
        return understand(database_of, await self.call("db.info", {"dbId": db_id}))

    async def sync(self, db_id: str, *, timeout: float) -> Database:
        return understand(database_of, await self.call("db.sync", {"dbId": db_id, "timeoutMs": _ms(timeout)}))

    async def get(self, db_id: str, path: RecordPath, *, version: int | None = None) -> Record | None:
        params = given(dbId=db_id, path=list(path), version=version)
        return understand(optional_record_of, await self.call("rec.get", params))

    async def list(
        self,
        db_id: str,
        prefix: RecordPath = (),
        range: Range = _EVERYTHING,
        *,
        version: int | None = None,
    ) -> Sequence[Record]:
        records: list[Record] = []
        params = given(dbId=db_id, prefix=list(prefix), version=version) | bounds(range)
        params["reverse"] = range.reverse
        while True:
            left = None if range.limit is None else range.limit - len(records)
            page = understand(records_page_of, await self.call("rec.list", params | given(limit=left)))
            records += page.items
            if page.after is None or (range.limit is not None and len(records) >= range.limit):
                return records
            # All pages are of the version that the first one had.
            params["version"] = page.version
            params = _from(params, page.after, reverse=range.reverse)

    async def put(self, db_id: str, path: RecordPath, value: Any, *, if_seq: int | None = None) -> Record:
        params = {"dbId": db_id, "path": list(path), "value": value} | given(ifSeq=if_seq)
        written = await self.call("rec.put", params)
        return understand(lambda done: Record(path, done["seq"], value), written)

    async def delete(self, db_id: str, path: RecordPath, *, if_seq: int | None = None) -> None:
        await self.call("rec.del", given(dbId=db_id, path=list(path), ifSeq=if_seq))

    async def batch(self, db_id: str, writes: Sequence[Write], *, if_version: int | None = None) -> int:
        params = given(dbId=db_id, ops=[op_of(write) for write in writes], ifVersion=if_version)
        version: int = understand(lambda done: done["version"], await self.call("rec.batch", params))
        return version

    async def history(
        self,
        db_id: str,
        *,
        since: int = 0,
        until: int | None = None,
        prefix: RecordPath = (),
        limit: int = 1000,
        reverse: bool = False,
    ) -> Sequence[Change]:
        found: list[Change] = []
        params = given(dbId=db_id, since=since, until=until, prefix=list(prefix), reverse=reverse)
        while True:
            asked = params | {"limit": limit - len(found)}
            page = understand(changes_page_of, await self.call("db.history", asked))
            found += page.items
            if page.after is None or len(found) >= limit:
                return found
            params["until" if reverse else "since"] = page.after

    async def diff(
        self, db_id: str, left: int, right: int | None = None, prefix: RecordPath = ()
    ) -> Sequence[Difference]:
        found: list[Difference] = []
        params = given(dbId=db_id, left=left, right=right, prefix=list(prefix))
        while True:
            page = understand(differences_page_of, await self.call("db.diff", params))
            found += page.items
            if page.after is None:
                return found
            params |= {"right": page.version, "gt": page.after}

    async def watch(
        self, db_id: str, prefix: RecordPath = (), since: Position | None = None
    ) -> AsyncIterator[Event]:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._watching(db_id, prefix, since) as events:
                    async for event in events:
                        pause = _FIRST_PAUSE
                        if not isinstance(event, Forked):
                            since = event.position
                        yield event
            except HyperError as error:
                if error.code not in ("AWAY", "NOT_FOUND", "NOT_SYNCED", "TIMEOUT"):
                    raise
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def put_drive(
        self, name: str, folder: str, *, ignore: Sequence[str] = (), named: Sequence[Drive] | None = None
    ) -> Drive:
        wanted = None if named is None else [{"key": each.key, "version": each.version} for each in named]
        params = given(name=name, folder=folder, ignore=list(ignore), named=wanted)
        return understand(drive_of, await self.call("drive.put", params))

    async def is_cleared(self, drive: Drive) -> bool:
        answer = await self.call("drive.isCleared", {"key": drive.key, "version": drive.version})
        return understand(lambda found: found["cleared"] is True, answer)

    async def get_drive(self, drive: Drive, folder: str, *, timeout: float) -> None:
        params = {"key": drive.key, "version": drive.version, "folder": folder, "timeoutMs": _ms(timeout)}
        await self.call("drive.get", params)

    async def allow(self, keys: Sequence[str]) -> None:
        self._allowed = list(keys)
        await self.call("net.allow", {"keys": self._allowed})

    async def add_peer(self, peer: Peer) -> None:
        self._peers[peer.key] = peer
        await self.call("net.addPeer", _peer(peer))

    async def remove_peer(self, key: str) -> None:
        self._peers.pop(key, None)
        await self.call("net.removePeer", {"key": key})

    async def export_keys(self) -> Mapping[str, Any]:
        keys: Mapping[str, Any] = await self.call("key.export", {})
        return keys

    async def repair(self, db_id: str) -> Database:
        return understand(database_of, await self.call("db.repair", {"dbId": db_id}))

    # -- watching

    @asynccontextmanager
    async def _watching(
        self, db_id: str, prefix: RecordPath, since: Position | None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The events that one connection brings. Raises HyperError, AWAY when it cannot be made."""
        params = self._opened.get(db_id)
        if params is None:
            raise HyperError("NOT_FOUND", f"no database {db_id} is open")
        try:
            async with await connect(self._socket) as stream:
                watch = _Watch(self, stream, db_id, prefix)
                yield watch.events(params, since)
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise away() from error


class _Watch:
    """A connection that is read only as fast as its events are taken."""

    def __init__(self, client: HyperClient, stream: ByteStream, db_id: str, prefix: RecordPath) -> None:
        self._client = client
        self._stream = stream
        self._db_id = db_id
        self._prefix = prefix
        self._messages = self._receive()
        # False until the reader has all that was written before: then changes make sense to it.
        self._listed = True

    async def events(self, opening: Mapping[str, Any], since: Position | None) -> AsyncIterator[Event]:
        database = understand(database_of, await self._ask("db.open", opening))
        if database.conflict:
            yield Forked()
        wish = {"dbId": self._db_id, "prefix": list(self._prefix)}
        answer = await self._ask("db.watch", wish | ({"since": since._asdict()} if since else {}))
        position, reset = understand(watch_of, answer)
        if reset:
            async for event in self._list(position):
                yield event
        async for message in self._messages:
            async for event in self._understand(message.get("method"), message.get("params") or {}):
                yield event

    async def _understand(self, method: str | None, params: Mapping[str, Any]) -> AsyncIterator[Event]:
        if method == "db.conflict" and params.get("dbId") == self._db_id:
            yield Forked()
        elif method == "db.reset":
            async for event in self._list(understand(position_of, params)):
                yield event
        elif method == "db.changed":
            changed = understand(changed_of, params)
            if not self._listed:
                async for event in self._list(changed.position):
                    yield event
            elif changed.changes:
                yield changed

    async def _list(self, position: Position) -> AsyncIterator[Event]:
        """Nothing while nothing of it has arrived: an empty database is another thing than an unknown one."""
        self._listed = position.version > 0
        if self._listed:
            records = await self._client.list(self._db_id, self._prefix, version=position.version)
            yield Listing(position, records)

    async def _ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """The answer to a request; before the watch has begun nothing else is of interest."""
        await self._stream.send(request_line(0, method, params))
        async for message in self._messages:
            if message.get("id") == 0:
                return result_of(message)
        raise away()

    async def _receive(self) -> AsyncIterator[Mapping[str, Any]]:
        lines = Lines()
        while True:
            for line in lines.feed(await self._stream.receive(_CHUNK)):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise away() from error


def _from(params: dict[str, Any], after: str, *, reverse: bool) -> dict[str, Any]:
    """The same range, from where a page has ended."""
    kept = {
        key: value
        for key, value in params.items()
        if key not in (("lt", "lte") if reverse else ("gt", "gte"))
    }
    return kept | {"lt" if reverse else "gt": after}


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _peer(peer: Peer) -> dict[str, Any]:
    return {"host": peer.host, "port": peer.port, "key": peer.key}
