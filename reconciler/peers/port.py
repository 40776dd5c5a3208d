"""What the control socket, the system APIs and the command line may ask about a node's databases and follows.

Everything raises `UserError` where a person asked for what cannot be done, also when the daemon is away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from manifests.model.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from hyper.port import Database, Hyper, RecordPath
    from manifests.model.snapshot import Snapshot, Source
    from reconciler.decide.event import Events

#: In a node's records: who changed what, the newest block last. Services: `documents.record.SERVICES`.
CHANGE: RecordPath = ("atek.cloud", "change")
#: In both databases: what the node says about itself.
NODE_SELF: RecordPath = ("atek.cloud", "node", "self")
#: In a node's status: one record a service, by its id.
STATUSES: RecordPath = ("atek.cloud", "status")
#: Owners begin with it that are other nodes.
FOLLOW = "follow:"
#: The names of the two databases in the daemon's store.
RECORDS = "records"
STATUS = "status"


@dataclass(frozen=True, slots=True)
class Keys:
    """How others find this node: its records' database, its status', who it proves to be, and where.

    `address` is host:port, empty where it takes no peers by TCP.
    """

    name: str
    records: str
    status: str
    noise: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Follow:
    """Another node that this one takes services from.

    `key` is its records' database, 64 hex digits. `noise` is the key that it proves when it connects, `at`
    its host:port; empty where they are not known.
    """

    name: str
    key: str
    noise: str = ""
    at: str = ""
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Followed:
    """How a follow fares. `database` is None while the daemon is away, and `status` empty until it is known.

    `status` is the database that the followed node publishes its status in; `node` what it says about itself
    there or in its records: name, noiseKey, labels.
    """

    follow: Follow
    database: Database | None = None
    status: str = ""
    node: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed what, for the history: `by` is a user, `system` or a node; `what` is "push", "stop", …"""

    by: str
    what: str


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A service as it is written in this node's own records. `key` is the last part of its path."""

    key: str
    seq: int
    value: Mapping[str, Any]


class ServiceRecords(Protocol):
    """The services in this node's own records."""

    async def read(self) -> Mapping[str, ServiceRecord]:
        """All of them by the service's id."""
        ...

    async def declare(
        self, manifest: Mapping[str, Any], change: Change, *, owner: str = "system", **more: Any
    ) -> int:
        """Makes or replaces the record of a plain manifest (camelCase, with `id`); returns the version.

        `owner` is that of a new record; what is there keeps its own. `more` is for `make_record`. Like all
        methods that write, it returns once that is on disk and this node has declared it.
        """
        ...

    async def suspend(self, service_id: str, change: Change, *, suspended: bool) -> int:
        """A person's stop or start, in the record. Raises UserError where there is none."""
        ...

    async def rename(self, service_id: str, manifest: Mapping[str, Any], change: Change) -> int:
        """Makes the record that of the manifest's id; its key stays. Raises UserError where there is none."""
        ...

    async def remove(self, service_id: str, change: Change) -> int:
        """Takes a record away. Raises UserError where there is none."""
        ...

    async def write(self, values: Mapping[str, Mapping[str, Any] | None], change: Change) -> int:
        """Records as they are (by their keys in the table; None takes one away), with one change entry."""
        ...


class Nodes(Protocol):
    """This node's databases and follows."""

    @property
    def configured(self) -> bool:
        """Whether this node has a Hypercore daemon among its core services."""
        ...

    @property
    def hyper(self) -> Hyper:
        """The daemon itself. Raises UserError where none is configured."""
        ...

    @property
    def services(self) -> ServiceRecords: ...

    async def keys(self) -> Keys:
        """Waits a moment for a daemon that is just starting."""
        ...

    def follows(self) -> Sequence[Follow]: ...

    async def followed(self, name: str) -> Followed:
        """One follow, by its name. Raises UserError where there is no such."""
        ...

    async def follow(self, follow: Follow) -> None:
        """Follows, or changes how (same name); kept across restarts once this returns."""
        ...

    async def unfollow(self, name: str) -> None:
        """Its services are stopped and pruned, unless others declare them."""
        ...


class Host(Protocol):
    """The node, as its membership among others sees it."""

    @property
    def events(self) -> Events: ...

    def add_source(self, source: Source) -> None:
        """Declares what it says from now on. A source of the same name is replaced."""
        ...

    def remove_source(self, name: str) -> None:
        """What only this source declared is wanted no more."""
        ...

    def entries(self) -> Mapping[str, Mapping[str, Any]]:
        """Id → the service's entry in `status`, of all services."""
        ...

    def service(self, service_id: str) -> Mapping[str, Any] | None:
        """One of them; None when there is nothing of it (any more)."""
        ...

    def applied(self, source: str) -> Snapshot | None:
        """What the source said when its services were last declared to the loop."""
        ...

    def packages_in_use(self) -> Collection[str]:
        """The folders of packages that something runs from, or may run from again."""
        ...

    def listening(self, heard: Callable[[str], None]) -> AbstractContextManager[None]:
        """Meanwhile, calls `heard` with the id of each service whose entry may have changed; "" is any.

        It is called from inside the loop, so it only notes what it hears.
        """
        ...


class Member(Nodes, Protocol):
    """`Nodes`, as the node itself uses it."""

    def sources(self) -> Sequence[Source]:
        """Those that are there when the node boots, in their order; nothing is waited for."""
        ...

    async def run(self, host: Host) -> None:
        """Everything that goes on beside the loop, until cancelled."""
        ...

    def owner_of(self, source: str) -> str:
        """As whom another node's services act: `follow:` and its key, or its name when it is forgotten."""
        ...

    def source_status(self, name: str) -> Mapping[str, Any]:
        """What to add to that source's entry in `status`."""
        ...
