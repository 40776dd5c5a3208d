"""Two nodes that only exist to be asked, each with its records and its status in a Hypercore in memory."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal

from hyper.fake import FakeHyper, FakeNetwork
from hyper.port import HyperError, Write
from reconciler.errors import UserError
from reconciler.peers.follows import checked
from reconciler.peers.port import NODE_SELF, RECORDS, STATUS, Change, Follow, Followed, Keys
from reconciler.peers.publication import entry_path, mark_of, public_entry
from reconciler.peers.records import OwnRecords
from tests.reconciler.fakes import FakeNode, serving, source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    #: Something that happens while a command waits. It gets the version that was written last.
    Step = Callable[[int], Awaitable[object]]

#: When everything happens here.
NOW = "2025-01-02T03:04:05Z"


class FakeNodes:
    """Implements `port.Nodes` with real records and real checks; nothing of it runs anything.

    `meanwhile`: one step is taken at each look at a followed node; `after_write` joins it once something
    is written.
    """

    configured = True

    def __init__(self, network: FakeNetwork, name: str, labels: Sequence[str] = ()) -> None:
        self.hyper = FakeHyper(network, name)
        self.name = name
        self.labels = list(labels)
        self.address = self.hyper.address
        self.services = OwnRecords(
            self.hyper, self._records, self._seen, lambda each: f"key-{each}", lambda: NOW
        )
        self.version = 0
        self.looks = 0
        self.meanwhile: list[Step] = []
        self.after_write: list[Step] = []
        self.written: Callable[[int], None] = lambda version: None
        self._own: tuple[str, str] | None = None
        self._follows: dict[str, Follow] = {}

    # -- port.Nodes

    async def keys(self) -> Keys:
        """What was known once is known without the daemon."""
        if self._own is None:
            records, status = await self.hyper.create(RECORDS), await self.hyper.create(STATUS)
            self._own = records.db_id, status.db_id
        return Keys(self.name, *self._own, noise=self.hyper.noise_key, address=self.address)

    def follows(self) -> Sequence[Follow]:
        return list(self._follows.values())

    async def followed(self, name: str) -> Followed:
        """What it says of itself is learned at each look, as long as the daemon is there."""
        self.looks += 1
        if self.meanwhile:
            await self.meanwhile.pop(0)(self.version)
        follow, about, database = self._known(name), {}, None
        with suppress(HyperError):
            if record := await self.hyper.get(follow.key, NODE_SELF):
                about = record.value
                await self.hyper.open(about["status"])
            database = await self.hyper.info(follow.key)
        return Followed(follow, database, about.get("status", ""), about)

    async def follow(self, follow: Follow) -> None:
        others = [each for each in self._follows.values() if each.name != follow.name]
        follow = checked(follow, others, await self._records())
        await self.hyper.open(follow.key)
        self._follows[follow.name] = follow

    async def unfollow(self, name: str) -> None:
        await self.hyper.close(self._known(name).key)
        del self._follows[name]

    # -- what a test makes it do

    async def introduce(self) -> None:
        """Says in its records who it is, as each node does."""
        keys = await self.keys()
        about = {"name": self.name, "labels": self.labels, "status": keys.status, "noiseKey": keys.noise}
        await self.hyper.put(keys.records, NODE_SELF, about)

    async def declare(self, service_id: str, **more: Any) -> int:
        """A service that was pushed, without a package."""
        manifest = {"id": service_id, "command": ["true"], **more}
        return await self.services.declare(manifest, Change(self.name, "push"))

    async def publish(
        self, *entries: Mapping[str, Any], of: FakeNodes | None = None, read: int = 0, **about: Any
    ) -> None:
        """Its status: these services, and that it follows `of`, whose records it has read up to `read`."""
        follows = [await self._public_follow(of, read)] if of else []
        about = {"name": self.name, "version": "1", "follows": follows, "publishedAt": NOW, **about}
        writes = [Write(entry_path(each["id"]), public_entry(each)) for each in entries]
        await self.hyper.batch((await self.keys()).status, [*writes, Write(NODE_SELF, about)])

    async def _public_follow(self, other: FakeNodes, read: int) -> dict[str, Any]:
        return {"name": other.name, "mark": mark_of((await other.keys()).records), "position": [0, read]}

    # -- inside

    def _known(self, name: str) -> Follow:
        if name not in self._follows:
            names = ", ".join(self._follows) or "nobody"
            raise UserError(f"this node does not follow {name}", hint=f"it follows {names}")
        return self._follows[name]

    async def _records(self) -> str:
        return (await self.keys()).records

    async def _seen(self, version: int) -> None:
        self.version = version
        self.meanwhile += self.after_write
        self.after_write = []
        self.written(version)


@dataclass(frozen=True, slots=True)
class Pair:
    """A laptop that `atek` talks to, and a pi in the kitchen that nobody follows yet."""

    node: FakeNode
    laptop: FakeNodes
    pi: FakeNodes
    portal: BlockingPortal

    def do(self, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        """Where the nodes live: not in the test's own thread."""
        return self.portal.call(partial(function, *values, **named))

    def follow_pi(self) -> None:
        """The laptop does, and is connected to it."""
        keys = self.do(self.pi.keys)
        self.do(self.laptop.follow, Follow("pi", keys.records, keys.noise, keys.address))

    def part(self) -> None:
        """The pi goes away."""
        self.do(self.laptop.hyper.network.cut, self.laptop.hyper, self.pi.hyper)


@contextmanager
def running_pair(home: Path) -> Iterator[Pair]:
    """Serves the laptop on the home until the context ends."""
    network = FakeNetwork()
    laptop, pi = FakeNodes(network, "laptop"), FakeNodes(network, "pi", ["kitchen"])
    network.connect(laptop.hyper, pi.hyper)
    node = FakeNode(nodes=laptop, sources=[source("records", revision="0")])

    def reread(version: int) -> None:
        node.sources = [source("records", revision=str(version))]

    laptop.written = reread
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(node, home)):
        for each in (laptop, pi):
            portal.call(each.introduce)
        yield Pair(node, laptop, pi, portal)
