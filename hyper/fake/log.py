"""One node's copy of a log in memory, what can be read from it, and how two copies learn from each other.

Blocks are compared by identity: two copies share the objects that one of them took from the other, so that a
writer who went on from an older state is found out just as the real thing finds it out, by its hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from hyper.encoding.keys import path_of, start_of
from hyper.port import Change, Changes, Database, Forked, Listing, Position, Range, Record, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hyper.port import Difference, Event, RecordPath

#: A watch gets at most so many changes at once, and everything anew when it is so many blocks behind.
CHANGES_AT_ONCE, FAR_BEHIND = 256, 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One write. `value` is JSON; None is a deletion."""

    key: str
    value: bytes | None


#: The first block of every log tells what it is, and no record.
HEADER = Block("", None)


@dataclass(eq=False, slots=True)
class Copy:
    """`common` is where a forked log was still one, None as long as it is; `lagging` copies only look on."""

    db_id: str
    name: str = ""
    writable: bool = False
    encryption_key: str | None = None
    fork: int = 0
    blocks: list[Block] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)
    known: int = 0
    synced: bool = False
    open: bool = True
    lagging: bool = False
    common: int | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def version(self) -> int:
        return len(self.blocks)

    @property
    def position(self) -> Position:
        return Position(self.fork, self.version)

    def database(self, peers: int) -> Database:
        return Database(
            self.db_id, self.name, self.writable, self.fork, self.version, max(self.known, self.version),
            peers, self.synced, self.common is not None,
        )  # fmt: skip

    # -- writing

    def append(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            if block is HEADER:
                pass
            elif block.value is None:
                self.newest.pop(block.key, None)
            else:
                self.newest[block.key] = len(self.blocks)
            self.blocks.append(block)
        self.wake()

    def replace(self, blocks: Sequence[Block]) -> None:
        """Everything anew, as after a repair."""
        self.blocks, self.newest = [], {}
        self.append(blocks)

    def wake(self) -> None:
        """Wakes whoever waits for anything of this copy."""
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    # -- reading

    def seqs(self, version: int | None) -> dict[str, int]:
        """The block of each record at a version."""
        if version is None or version >= self.version:
            return self.newest
        then: dict[str, int] = {}
        for seq, block in enumerate(self.blocks[1:version], 1):
            if block.value is None:
                then.pop(block.key, None)
            else:
                then[block.key] = seq
        return then

    def record(self, key: str, version: int | None = None) -> Record | None:
        seq = self.seqs(version).get(key)
        return None if seq is None else self._record(seq)

    def records(self, prefix: RecordPath, range: Range, version: int | None = None) -> list[Record]:
        start = start_of(prefix)
        found = sorted(
            (key, seq)
            for key, seq in self.seqs(version).items()
            if key.startswith(start) and _within(key[len(start) :], range)
        )
        if range.reverse:
            found.reverse()
        return [self._record(seq) for _, seq in found[: range.limit]]

    def changes(self, since: int, until: int | None, prefix: RecordPath) -> Iterator[Change]:
        start = start_of(prefix)
        for seq, block in enumerate(self.blocks[since:until], since):
            if block is HEADER or not block.key.startswith(start):
                continue
            value = None if block.value is None else _decoded(block.value)
            yield Change(path_of(block.key), seq, value, block.value is None)

    def diff(self, left: int, right: int | None, prefix: RecordPath) -> Iterator[Difference]:
        then, now = self.seqs(left), self.seqs(right)
        for key in sorted(then.keys() | now.keys()):
            if key.startswith(start_of(prefix)) and then.get(key) != now.get(key):
                yield self.record(key, left), self.record(key, right)

    def event(self, prefix: RecordPath, since: Position | None) -> Event | None:
        """What a watch learns next, None while there is nothing."""
        if self.common is not None:
            return Forked()
        if since is None or since.fork != self.fork or not 0 <= self.version - since.version <= FAR_BEHIND:
            return Listing(self.position, self.records(prefix, Range()))
        until = min(self.version, since.version + CHANGES_AT_ONCE)
        if until == since.version:
            return None
        return Changes(since, Position(self.fork, until), list(self.changes(since.version, until, prefix)))

    def _record(self, seq: int) -> Record:
        block = self.blocks[seq]
        assert block.value is not None
        return Record(path_of(block.key), seq, _decoded(block.value))


def _decoded(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return Undecodable("it is no JSON")


def exchange(one: Copy, other: Copy) -> list[Copy]:
    """Two copies that are connected compare what they have; returns which of them got further."""
    if one.fork != other.fork:
        older, newer = sorted((one, other), key=lambda copy: copy.fork)
        older.fork, older.common = newer.fork, None
        older.known, older.synced = newer.version, True
        older.replace(newer.blocks)
        return [older]
    if one.common is not None or other.common is not None:
        return []
    shorter, longer = sorted((one, other), key=lambda copy: copy.version)
    if shorter.blocks and shorter.blocks[-1] is not longer.blocks[shorter.version - 1]:
        return _found_out(shorter, longer)
    return _catch_up(shorter, longer)


def _catch_up(shorter: Copy, longer: Copy) -> list[Copy]:
    behind = shorter.version < longer.version
    learnt = not shorter.synced or not longer.synced or longer.version > shorter.known
    for copy in (shorter, longer):
        copy.known = max(copy.known, longer.version)
        copy.synced = copy.synced or longer.version > 0
    if behind and not shorter.lagging:
        shorter.append(longer.blocks[shorter.version :])
        return [shorter]
    if learnt:
        shorter.wake()
    return []


def _found_out(shorter: Copy, longer: Copy) -> list[Copy]:
    pairs = zip(shorter.blocks, longer.blocks, strict=False)
    common = next(seq for seq, (mine, yours) in enumerate(pairs) if mine is not yours)
    for copy in (shorter, longer):
        copy.common = common
        copy.wake()
    return [shorter, longer]


def _within(rest: str, range: Range) -> bool:
    return (
        (range.gt is None or rest > range.gt)
        and (range.gte is None or rest >= range.gte)
        and (range.lt is None or rest < range.lt)
        and (range.lte is None or rest <= range.lte)
    )
