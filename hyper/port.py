"""The port to Hypercore: databases with one writer, their records, their changes, and drives.

Paths are sequences of text, prefixes too; the empty prefix is everything. Versions count a database's blocks
and only grow; (fork, version) is a position. Every write is on the disk when its method returns. Everything
raises `HyperError` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

#: The parts of a record's path.
RecordPath = tuple[str, ...]

#: Why something was not done. AWAY: the daemon cannot be reached, or ended before it answered; then nobody
#: knows whether a write was done. IN_USE: somebody else has that key, or that port. HELD: writes wait for a
#: follower after an unclean stop.
Code = Literal[
    "AWAY", "BAD_REQUEST", "CAS_FAILED", "CONFLICT", "DECODE", "HELD", "IN_USE", "INTERNAL", "NOT_FOUND",
    "NOT_SYNCED", "NOT_WRITABLE", "NO_SPACE", "STORE_COPIED", "STORE_DAMAGED", "STORE_LOCKED",
    "STORE_UNWRITABLE", "TIMEOUT",
]  # fmt: skip


class HyperError(Exception):
    """What the daemon could not do. `code` says why, `hint` tells a person what to do."""

    def __init__(self, code: Code, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Position(NamedTuple):
    """A place in a database's log."""

    fork: int
    version: int


@dataclass(frozen=True, slots=True)
class Database:
    """One database now. `known` is the length that some peer has shown; `version` is what is here.

    `synced` is False until a database of somebody else was seen at least once. `conflict`: its key was used
    to write in two places, and it is followed no further.
    """

    db_id: str
    name: str = ""
    writable: bool = False
    fork: int = 0
    version: int = 0
    known: int = 0
    peers: int = 0
    synced: bool = False
    conflict: bool = False

    @property
    def position(self) -> Position:
        return Position(self.fork, self.version)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """What stands for a value that nobody can read: it is no JSON, or would end whoever reads it."""

    why: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was written in block `seq`. `value` is JSON, or `Undecodable`."""

    path: RecordPath
    seq: int
    value: Any


#: A record at two versions, the older one first; None where it did not exist.
Difference = tuple[Record | None, Record | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One write: a put (`value` as a record's), or a deletion (`deleted`, with `value` None)."""

    path: RecordPath
    seq: int
    value: Any = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a batch; `deleted` takes the record away."""

    path: RecordPath
    value: Any = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Which records of a prefix. Bounds are what follows the prefix, its parts joined by NUL."""

    gt: str | None = None
    gte: str | None = None
    lt: str | None = None
    lte: str | None = None
    limit: int | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """All records of a watched prefix at a position: where a watch begins, and begins again after a gap."""

    position: Position
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Changes:
    """What was written since `start`, in the order of writing; nothing was missed between."""

    start: Position
    position: Position
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Forked:
    """The log was forked by its own writer: nothing follows until it was repaired."""


Event = Listing | Changes | Forked


@dataclass(frozen=True, slots=True)
class Drive:
    """A folder's content, as of one version of a drive."""

    key: str
    version: int


@dataclass(frozen=True, slots=True)
class Peer:
    """How to reach a node directly: its address, and the key that it has to prove."""

    host: str
    port: int
    key: str


@dataclass(frozen=True, slots=True)
class Status:
    """The daemon itself.

    `noise_key` is this node's identity among others, `address` where it takes TCP peers, `peers` the keys of
    those that are connected; `held`: writes wait for a follower.
    """

    version: str
    noise_key: str
    address: str = ""
    held: bool = False
    rss: int = 0
    store_bytes: int = 0
    databases: Sequence[Database] = ()
    peers: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


class Hyper(Protocol):
    """A store of databases and its connections to others'."""

    async def status(self) -> Status: ...

    # -- databases

    async def create(self, name: str, *, encryption_key: str | None = None) -> Database:
        """This store's own database of that name; made when it is not there."""
        ...

    async def open(self, db_id: str, *, encryption_key: str | None = None) -> Database:
        """A database by its key, anybody's; from then on it is followed, if it is not our own."""
        ...

    async def close(self, db_id: str) -> None:
        """Follows it no further. What is here stays here."""
        ...

    async def info(self, db_id: str) -> Database: ...

    async def sync(self, db_id: str, *, timeout: float) -> Database:
        """Once all is here that some peer has now. Raises TIMEOUT when that takes longer (seconds)."""
        ...

    # -- records

    async def get(self, db_id: str, path: RecordPath, *, version: int | None = None) -> Record | None: ...

    async def list(
        self,
        db_id: str,
        prefix: RecordPath = (),
        range: Range = Range(),
        *,
        version: int | None = None,
    ) -> Sequence[Record]:
        """In the order of the keys; all of them unless the range has a limit."""
        ...

    async def put(self, db_id: str, path: RecordPath, value: Any, *, if_seq: int | None = None) -> Record:
        """`if_seq`: only if the record is still of that block (0: if there is none), else CAS_FAILED."""
        ...

    async def delete(self, db_id: str, path: RecordPath, *, if_seq: int | None = None) -> None: ...

    async def batch(self, db_id: str, writes: Sequence[Write], *, if_version: int | None = None) -> int:
        """All of them or none; returns the database's version after them."""
        ...

    async def history(
        self, db_id: str, *, since: int = 0, until: int | None = None, prefix: RecordPath = (),
        limit: int = 1000, reverse: bool = False,
    ) -> Sequence[Change]:  # fmt: skip
        """Every write of blocks `since` up to before `until`, in the order of writing unless reversed."""
        ...

    async def diff(
        self, db_id: str, left: int, right: int | None = None, prefix: RecordPath = ()
    ) -> Sequence[Difference]:
        """What differs between two versions, as (then, now); `right` left out is the newest."""
        ...

    def watch(
        self, db_id: str, prefix: RecordPath = (), since: Position | None = None
    ) -> AsyncIterator[Event]:
        """All that happens after a position, for ever.

        A Listing comes first where there is no position, or it no longer fits. Goes on by itself when the
        daemon comes back.
        """
        ...

    # -- drives

    async def put_drive(
        self, name: str, folder: str, *, ignore: Sequence[str] = (), named: Sequence[Drive] | None = None
    ) -> Drive:
        """The folder's content as it is now, on this store's drive of that name.

        With `named`, the content of older versions is cleared, but for the last two and those among `named`.
        """
        ...

    async def is_cleared(self, drive: Drive) -> bool:
        """Whether it is a version of an own drive whose content is no longer there."""
        ...

    async def get_drive(self, drive: Drive, folder: str, *, timeout: float) -> None:
        """Writes the content into an empty folder, verified. Raises TIMEOUT when no peer has it."""
        ...

    # -- the network

    async def allow(self, keys: Sequence[str]) -> None:
        """Only these noise keys may connect to us, beside those of configured peers."""
        ...

    async def add_peer(self, peer: Peer) -> None:
        """Connects to it now and whenever the connection is lost."""
        ...

    async def remove_peer(self, key: str) -> None: ...

    # -- for the administrator

    async def export_keys(self) -> Mapping[str, Any]:
        """All secrets of the store, for a backup: see the daemon's README."""
        ...

    async def repair(self, db_id: str) -> Database:
        """Makes an own database writable again after its log was forked."""
        ...


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One end of a tunnel. `key` is what others connect to, where it is the end that they come to.

    `port` is one of loopback, where programs come to the other end.
    """

    id: str
    key: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class TunnelCaller:
    """A node that has come by a tunnel: its connections, and seconds since it was last heard of."""

    noise_key: str
    streams: int
    seen: float


class Tunnels(Protocol):
    """Byte streams between nodes, whose keys are proven.

    A tunnel ends with the daemon, or with its connection to us.
    """

    async def key(self) -> str:
        """What others connect to: this store's own tunnel key."""
        ...

    async def listen(
        self, socket: str, *, allow: Sequence[str] | None, secret: str, seed: str = ""
    ) -> Tunnel:
        """Brings connections of these nodes (None: anybody's) to a Unix socket, each after a line of JSON.

        That is {"noiseKey", "secret"}. With a `seed`, 64 hex digits, its key follows from it. Raises IN_USE.
        """
        ...

    async def allow(self, tunnel: Tunnel, keys: Sequence[str]) -> None:
        """Only these from now on; others are cut off at once. Raises NOT_FOUND when it has ended."""
        ...

    async def callers(self, tunnel: Tunnel) -> Sequence[TunnelCaller]:
        """Who was here. Raises NOT_FOUND when it has ended."""
        ...

    async def connect(
        self, *, key: str = "", seed: str = "", socket: str = "", port: int | None = None
    ) -> Tunnel:
        """Carries what comes to a Unix socket, or a port of loopback (0: any), to the node with that key.

        Goes on for as long as the tunnel is open, whether or not that node answers. Raises IN_USE.
        """
        ...

    async def is_up(self, tunnel: Tunnel) -> bool:
        """Whether the node at the other end answers."""
        ...

    async def close(self, tunnel: Tunnel) -> None: ...
