"""Everything that a node has to do with other nodes, put together.

    settle      its two databases are made, what it says about itself is written, peers are let in
    look        every few seconds: is the daemon there, where do followed nodes publish their status?
    publish     its own status
    sources     its own records, and one for each follow, which come and go

What is asked of the daemon is asked again until it was done; nothing here keeps the node from converging.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio

from hyper.port import HyperError
from reconciler.drive.status import timestamp
from reconciler.errors import UserError
from reconciler.peers.follows import FollowsFile, UnreadableFollows, checked
from reconciler.peers.network import Network
from reconciler.peers.own import Own, OwnFile
from reconciler.peers.port import FOLLOW, NODE_SELF, RECORDS, STATUS, Followed, Keys
from reconciler.peers.publication import public_follow
from reconciler.peers.publisher import Publisher
from reconciler.peers.records import OwnRecords
from reconciler.peers.sources import RecordSources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hyper.port import Database, Hyper
    from manifests.model.nodes import Place
    from manifests.model.snapshot import Source
    from reconciler.peers.port import Follow, Host

#: Seconds between two looks at the daemon; less while it does not answer.
LOOK = 5.0
LOOK_SOON = 0.25
#: Seconds that a person's order waits for a daemon that is just starting, and for the loop to hear of it.
PATIENCE = 10.0


class Membership:
    """Implements `port.Member`.

    `open_to_all`: whether nodes may connect whose noise key nobody named. `known_peers` are the keys of those
    that the settings name. `key_of` is a service's key by its id, `wall` the time.
    """

    configured = True

    def __init__(
        self,
        hyper: Hyper,
        home: Path,
        place: Place,
        *,
        version: str,
        key_of: Callable[[str], str],
        wall: Callable[[], float],
        known_peers: Sequence[str] = (),
        open_to_all: bool = False,
    ) -> None:
        self.hyper = hyper
        self._place = place
        self._version = version
        self._wall = wall
        self._reachable = bool(known_peers) or open_to_all
        self._own = OwnFile(home)
        self._file = FollowsFile(home)
        self._follows = {follow.name: follow for follow in self._file.read()}
        self._sources = RecordSources(hyper, home, place, wall)
        self._network = Network(hyper)
        self._statuses: dict[str, str] = {}
        self._nodes: dict[str, Mapping[str, Any]] = {}
        self._away = True
        self._settled = anyio.Event()
        self._look_now = anyio.Event()
        self._changing = anyio.Lock()
        self._publisher = Publisher(hyper, self._about, lambda: timestamp(wall()))
        self.services = OwnRecords(
            hyper, self._records, self._declared, key_of, now=lambda: timestamp(wall())
        )

    # -- port.Nodes

    async def keys(self) -> Keys:
        """See `Nodes`. What was known once is known without the daemon."""
        if not self._own.value.records:
            await self._wait_until_settled()
        own = self._own.value
        return Keys(self._place.name, own.records, own.status, own.noise, own.address)

    def follows(self) -> Sequence[Follow]:
        return list(self._follows.values())

    async def followed(self, name: str) -> Followed:
        """See `Nodes`."""
        follow = self._known(name)
        database: Database | None = None
        with suppress(HyperError):
            await self._learn(follow)
            database = await self.hyper.info(follow.key)
        return Followed(follow, database, self._statuses.get(name, ""), self._nodes.get(name, {}))

    async def follow(self, follow: Follow) -> None:
        """See `Nodes`."""
        async with self._changing:
            others = [each for each in self._follows.values() if each.name != follow.name]
            follow = checked(follow, others, self._own.value.records)
            before = self._follows.get(follow.name)
            if not (follow.noise or self._reachable or (before and before.noise)):
                raise UserError(
                    "nobody could connect: only known nodes may, and this key does not say which one it is",
                    hint="use the whole link that `atek key` tells on that node, or set hyper.knownPeersOnly",
                )
            self._file.write([*others, follow])
            self._follows = {each.name: each for each in [*others, follow]}
            await self._take_up(follow, before)
        self._look_now.set()

    async def unfollow(self, name: str) -> None:
        """See `Nodes`."""
        async with self._changing:
            follow = self._known(name)
            rest = {each: kept for each, kept in self._follows.items() if each != name}
            self._file.write(list(rest.values()))
            self._follows = rest
            await self._give_up(follow)
        self._look_now.set()

    # -- port.Member

    def sources(self) -> Sequence[Source]:
        """See `Member`."""
        found: list[Source] = []
        if self._own.value.records:
            found.append(self._sources.own())
        found += [self._sources.of(follow) for follow in self._follows.values()]
        return [*found, UnreadableFollows(self._file.problem)] if self._file.problem else found

    async def run(self, host: Host) -> None:
        """See `Member`."""
        self._sources.begin(host)
        with host.listening(self._heard):
            self._heard("")
            await self._run(host)

    async def _run(self, host: Host) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._publish, host)
            tasks.start_soon(self._sources.collect)
            while True:
                # Whoever asks from now on is looked after in the next round.
                self._look_now = anyio.Event()
                await self._look()
                with anyio.move_on_after(LOOK_SOON if self._away else LOOK):
                    await self._look_now.wait()

    def owner_of(self, source: str) -> str:
        """See `Member`."""
        follow = self._follows.get(source)
        return f"{FOLLOW}{follow.key if follow else source}"

    def source_status(self, name: str) -> Mapping[str, Any]:
        """See `Member`: position, lag, peers and conditions of a source of records."""
        return self._sources.status(name, away=self._away)

    # -- its life

    async def _look(self) -> None:
        """Does what is not done yet, as far as the daemon lets it."""
        try:
            status = await self.hyper.status()
            self._away = False
            await self._settle(status.noise_key, status.address)
            await self._network.apply(self.follows())
            await self._introduce(self._own.value)
            for follow in self.follows():
                with suppress(HyperError):
                    await self._learn(follow)
        except HyperError as error:
            self._away = error.code == "AWAY"
        except OSError:
            self._away = False
        self._publisher.heard("")

    async def _settle(self, noise: str, address: str) -> None:
        """The databases are there, kept in mind, and tell how this node is reached."""
        own = self._own.value
        if not self._settled.is_set():
            records, status = await self.hyper.create(RECORDS), await self.hyper.create(STATUS)
            own = Own(records.db_id, status.db_id, noise, address)
        own = replace(own, noise=noise, address=address)
        is_new = own.records != self._own.value.records
        self._own.write(own)
        if is_new:
            self._sources.add(self._sources.own())
        self._settled.set()

    async def _introduce(self, own: Own) -> None:
        """Says in the records who this is, where that is not said yet."""
        about = {
            "name": self._place.name,
            "labels": sorted(self._place.labels),
            "records": own.records,
            "status": own.status,
            "noiseKey": own.noise,
            "address": own.address,
        }
        written = await self.hyper.get(own.records, NODE_SELF)
        if written is None or written.value != about:
            await self.hyper.put(own.records, NODE_SELF, about)

    async def _learn(self, follow: Follow) -> None:
        """What a followed node says about itself, and so where its status is. Raises HyperError."""
        record = await self.hyper.get(follow.key, NODE_SELF)
        about = record.value if record is not None and isinstance(record.value, dict) else {}
        status = about.get("status")
        if isinstance(status, str) and re.fullmatch(r"[0-9a-f]{64}", status):
            if self._statuses.get(follow.name) != status:
                await self.hyper.open(status)
            self._statuses[follow.name] = status
        self._nodes[follow.name] = about

    async def _publish(self, host: Host) -> None:
        await self._settled.wait()
        await self._publisher.run(host, self._own.value.status)

    def _heard(self, service_id: str) -> None:
        if not service_id:
            self._sources.heard()
        self._publisher.heard(service_id)

    def _about(self) -> dict[str, Any]:
        """What the status says about the node itself."""
        follows = [
            public_follow(follow, self.source_status(follow.name)) for follow in self._follows.values()
        ]
        labels = sorted(self._place.labels)
        return {"name": self._place.name, "version": self._version, "labels": labels, "follows": follows}

    # -- sources

    async def _take_up(self, follow: Follow, before: Follow | None) -> None:
        if before is not None and before.key == follow.key:
            self._sources.judge_by(follow)
            return
        if before is not None:
            await self._give_up(before)
        self._sources.add(self._sources.of(follow))

    async def _give_up(self, follow: Follow) -> None:
        """Nothing of it is followed, or kept, any more."""
        self._sources.remove(follow.name)
        self._nodes.pop(follow.name, None)
        status = self._statuses.pop(follow.name, "")
        for db_id in filter(None, (follow.key, status)):
            with suppress(HyperError):
                await self.hyper.close(db_id)

    # -- waiting

    def _known(self, name: str) -> Follow:
        follow = self._follows.get(name)
        if follow is None:
            names = ", ".join(self._follows) or "nobody"
            raise UserError(f"this node does not follow {name}", hint=f"it follows {names}")
        return follow

    async def _records(self) -> str:
        """The id of the own records, once they are there."""
        if not self._settled.is_set():
            await self._wait_until_settled()
        return self._own.value.records

    async def _wait_until_settled(self) -> None:
        with anyio.move_on_after(PATIENCE):
            await self._settled.wait()
            return
        raise UserError(
            "the Hypercore daemon does not answer", hint="`atek status core.hyper` says how it fares"
        )

    async def _declared(self, version: int) -> None:
        """Returns once the loop was told of this version of the own records."""
        with anyio.move_on_after(PATIENCE):
            await self._sources.until(RECORDS, version)
            return
        raise UserError("it is written, but the node has not noticed yet", hint="`atek status` tells when")
