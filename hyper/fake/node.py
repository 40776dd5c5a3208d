"""Hypercore in memory, for whole nodes of fakes on a virtual clock: nothing here waits for a real thing.

A `FakeHyper` is one node's store and daemon in one; it outlives the node that uses it. Several share a
`FakeNetwork`, where what one writes is at once with all that follow it and are connected to it, directly or
through each other. Trouble is made by its methods and attributes, all of them named after what goes wrong.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import orjson

from hyper.encoding.keys import key_of
from hyper.fake.drives import read_folder, write_folder
from hyper.fake.log import HEADER, Block, Copy
from hyper.fake.network import Endpoint, FakeNetwork
from hyper.port import Changes, Drive, Forked, HyperError, Range, Record, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from hyper.fake.drives import Entry
    from hyper.port import Change, Code, Database, Difference, Event, Peer, Position, RecordPath, Write


_EVERYTHING = Range()
#: So many versions of a drive stay, whoever names them.
LAST = 3


class FakeHyper(Endpoint):
    """Implements `port.Hyper`. `primary_key` is that of a store to be restored.

    While `fails` has a code, every write raises it (NO_SPACE, HELD, …) and does nothing.
    `loses_answers`: writes are done, and raise AWAY all the same.
    """

    def __init__(
        self,
        network: FakeNetwork | None = None,
        name: str = "node",
        *,
        primary_key: str = "",
        known_only: bool = True,
    ) -> None:
        self.network = network or FakeNetwork()
        self.name = name
        self.primary_key = primary_key or _hash("store", name)
        super().__init__(_hash("noise", self.primary_key), known_only=known_only)
        self.fails: Code | None = None
        self.loses_answers = False
        self.writes = 0
        self.network.join(self)

    # -- trouble

    def go_away(self) -> None:
        """The daemon ends: calls raise AWAY, watches wait, others lose the connection."""
        self.is_away = True
        self.network.settle()

    def come_back(self) -> None:
        self.is_away = False
        self.network.settle()

    def lag(self, db_id: str, *, lagging: bool = True) -> None:
        """Learns how much there is of a database, and does not get it."""
        self.copies[db_id].lagging = lagging
        self.network.settle()

    def lose(self, db_id: str, blocks: int = 1) -> None:
        """Forgets the newest blocks, as a power cut does, before anybody gives them back."""
        copy = self.copies[db_id]
        copy.replace(copy.blocks[: copy.version - blocks])

    def fork_log(self, db_id: str) -> None:
        """Writes on from an older state: whoever saw the newer one finds out when it is connected."""
        self.lose(db_id)
        copy = self.copies[db_id]
        copy.append([Block("forked", b"true")])
        self.network.spread(self, copy)

    # -- the daemon

    async def status(self) -> Status:
        await self._reached()
        neighbours = [node.noise_key for node in self.network.neighbours(self)]
        databases = [self._database(copy) for copy in self.copies.values() if copy.open]
        held = self.fails == "HELD"
        return Status("fake", self.noise_key, self.address, held, databases=databases, peers=neighbours)

    # -- databases

    async def create(self, name: str, *, encryption_key: str | None = None) -> Database:
        await self._reached()
        db_id = _hash("database", self.primary_key, name)
        copy = self._follow(db_id, encryption_key)
        if not copy.writable:
            copy.name, copy.writable, copy.synced = name, True, True
        if not copy.blocks:
            copy.append([HEADER])
        self.network.spread(self, copy)
        return self._database(copy)

    async def open(self, db_id: str, *, encryption_key: str | None = None) -> Database:
        await self._reached()
        copy = self._follow(db_id, encryption_key)
        self.network.spread(self, copy)
        return self._database(copy)

    async def close(self, db_id: str) -> None:
        await self._reached()
        self._copy(db_id).open = False

    async def info(self, db_id: str) -> Database:
        await self._reached()
        return self._database(self._copy(db_id))

    async def sync(self, db_id: str, *, timeout: float) -> Database:
        await self._reached()
        copy = self._copy(db_id)
        with anyio.move_on_after(timeout):
            while not copy.writable and (not copy.synced or copy.version < copy.known):
                await copy.changed.wait()
            return self._database(copy)
        raise HyperError("TIMEOUT", f"{db_id} did not arrive in time")

    # -- records

    async def get(self, db_id: str, path: RecordPath, *, version: int | None = None) -> Record | None:
        await self._reached()
        return self._readable(db_id).record(key_of(path), version)

    async def list(
        self,
        db_id: str,
        prefix: RecordPath = (),
        range: Range = _EVERYTHING,
        *,
        version: int | None = None,
    ) -> Sequence[Record]:
        await self._reached()
        return self._readable(db_id).records(prefix, range, version)

    async def put(self, db_id: str, path: RecordPath, value: Any, *, if_seq: int | None = None) -> Record:
        await self._reached()
        copy = self._writable(db_id)
        key, written = key_of(path), _json(value)
        _compare(copy.newest.get(key, 0), if_seq)
        seq = copy.version
        self._write(copy, [Block(key, written)])
        return Record(path, seq, orjson.loads(written))

    async def delete(self, db_id: str, path: RecordPath, *, if_seq: int | None = None) -> None:
        await self._reached()
        copy, key = self._writable(db_id), key_of(path)
        _compare(copy.newest.get(key, 0), if_seq)
        if key in copy.newest:
            self._write(copy, [Block(key, None)])

    async def batch(self, db_id: str, writes: Sequence[Write], *, if_version: int | None = None) -> int:
        await self._reached()
        copy = self._writable(db_id)
        _compare(copy.version, if_version)
        self._write(copy, list(_blocks(copy, writes)))
        return copy.version

    async def history(
        self, db_id: str, *, since: int = 0, until: int | None = None, prefix: RecordPath = (),
        limit: int = 1000, reverse: bool = False,
    ) -> Sequence[Change]:  # fmt: skip
        await self._reached()
        changes = list(self._readable(db_id).changes(since, until, prefix))
        if reverse:
            changes.reverse()
        return changes[:limit]

    async def diff(
        self, db_id: str, left: int, right: int | None = None, prefix: RecordPath = ()
    ) -> Sequence[Difference]:
        await self._reached()
        return list(self._readable(db_id).diff(left, right, prefix))

    async def watch(
        self, db_id: str, prefix: RecordPath = (), since: Position | None = None
    ) -> AsyncIterator[Event]:
        position, told = since, False
        while True:
            changed, network = self._copy(db_id).changed, self.network.changed
            copy = self._copy(db_id)
            if self.is_away:
                await network.wait()
                continue
            event = copy.event(prefix, position) if copy.synced and copy.version else None
            if event is None or (isinstance(event, Forked) and told):
                await changed.wait()
                continue
            await anyio.lowlevel.checkpoint()
            told = isinstance(event, Forked)
            if not isinstance(event, Forked):
                position = event.position
            if not isinstance(event, Changes) or event.changes:
                yield event

    # -- drives

    async def put_drive(
        self, name: str, folder: str, *, ignore: Sequence[str] = (), named: Sequence[Drive] | None = None
    ) -> Drive:
        await self._reached()
        self._may_write()
        key = _hash("drive", self.primary_key, name)
        versions = self.drives.setdefault(key, {})
        content = read_folder(Path(folder), ignore)
        newest = max(versions, default=1)
        if versions.get(newest) != content:
            newest += 1
            versions[newest] = content
            self.network.settle()
        if named is not None:
            stay = {*sorted(versions)[-LAST:], *(each.version for each in named if each.key == key)}
            self.drives[key] = {version: versions[version] for version in versions if version in stay}
        return Drive(key, newest)

    async def is_cleared(self, drive: Drive) -> bool:
        await self._reached()
        return drive.key in self.drives and drive.version not in self.drives[drive.key]

    async def get_drive(self, drive: Drive, folder: str, *, timeout: float) -> None:
        await self._reached()
        with anyio.move_on_after(timeout):
            while (content := self._find(drive)) is None:
                await self.network.changed.wait()
            self.drives.setdefault(drive.key, {})[drive.version] = content
            write_folder(content, Path(folder))
            return
        raise HyperError("TIMEOUT", f"nobody has version {drive.version} of drive {drive.key}")

    # -- the network

    async def allow(self, keys: Sequence[str]) -> None:
        await self._reached()
        self.allowed = set(keys)
        self.network.settle()

    async def add_peer(self, peer: Peer) -> None:
        await self._reached()
        self.peers[peer.key] = peer
        self.network.settle()

    async def remove_peer(self, key: str) -> None:
        await self._reached()
        self.peers.pop(key, None)
        self.network.settle()

    # -- for the administrator

    async def export_keys(self) -> Mapping[str, Any]:
        await self._reached()
        own = [copy for copy in self.copies.values() if copy.writable]
        secret = {copy.name: copy.encryption_key for copy in own if copy.encryption_key}
        names = [copy.name for copy in own]
        return {"primaryKey": self.primary_key, "names": names, "encryptionKeys": secret}

    async def repair(self, db_id: str) -> Database:
        await self._reached()
        copy = self._copy(db_id)
        if not copy.writable:
            raise HyperError("NOT_WRITABLE", f"{db_id} is not ours to repair")
        if copy.common is not None:
            copy.fork, copy.blocks, copy.common = copy.fork + 1, copy.blocks[: copy.common], None
            copy.replace(copy.blocks)
            self.network.spread(self, copy)
        return self._database(copy)

    # -- inside

    async def _reached(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.is_away:
            raise HyperError("AWAY", "the daemon cannot be reached")

    def _database(self, copy: Copy) -> Database:
        following = [node.copies.get(copy.db_id) for node in self.network.neighbours(self)]
        return copy.database(sum(1 for other in following if other is not None and other.open))

    def _follow(self, db_id: str, encryption_key: str | None) -> Copy:
        copy = self.copies.setdefault(db_id, Copy(db_id, encryption_key=encryption_key))
        copy.open = True
        copy.encryption_key = encryption_key or copy.encryption_key
        return copy

    def _copy(self, db_id: str) -> Copy:
        copy = self.copies.get(db_id)
        if copy is None or not copy.open:
            raise HyperError("NOT_FOUND", f"no database {db_id} is open")
        return copy

    def _readable(self, db_id: str) -> Copy:
        copy = self._copy(db_id)
        if not copy.version:
            raise HyperError("NOT_SYNCED", f"nothing of {db_id} has arrived yet")
        owner = next((c for n in self.network.members if (c := n.copies.get(db_id)) and c.writable), copy)
        if owner.encryption_key != copy.encryption_key:
            raise HyperError("DECODE", f"{db_id} is encrypted with another key")
        return copy

    def _writable(self, db_id: str) -> Copy:
        copy = self._copy(db_id)
        if not copy.writable:
            raise HyperError("NOT_WRITABLE", f"{db_id} has another writer")
        self._may_write()
        if copy.common is not None:
            raise HyperError("CONFLICT", f"the log of {db_id} was forked", hint="`atek repair`")
        return copy

    def _may_write(self) -> None:
        if self.fails is not None:
            raise HyperError(self.fails, f"not written: {self.fails}")

    def _write(self, copy: Copy, blocks: Sequence[Block]) -> None:
        copy.append(blocks)
        self.writes += 1
        self.network.spread(self, copy)
        if self.loses_answers:
            raise HyperError("AWAY", "the daemon ended before it answered")

    def _find(self, drive: Drive) -> dict[str, Entry] | None:
        for node in (self, *self.network.neighbours(self)):
            content = node.drives.get(drive.key, {}).get(drive.version)
            if content is not None:
                return content
        return None


def _blocks(copy: Copy, writes: Sequence[Write]) -> Iterator[Block]:
    """Deleting what is not there writes nothing."""
    there = set(copy.newest)
    for write in writes:
        key = key_of(write.path)
        if not write.deleted:
            there.add(key)
            yield Block(key, _json(write.value))
        elif key in there:
            there.discard(key)
            yield Block(key, None)


def _compare(found: int, expected: int | None) -> None:
    if expected is not None and found != expected:
        raise HyperError("CAS_FAILED", f"it was written in the meantime: {found} is not {expected}")


def _json(value: Any) -> bytes:
    """Raises BAD_REQUEST for what JSON has not, and for numbers that JavaScript does not keep."""
    try:
        return orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError as error:
        raise HyperError("BAD_REQUEST", f"not a value of JSON: {error}") from error


def _hash(*words: str) -> str:
    return sha256("\n".join(words).encode()).hexdigest()
