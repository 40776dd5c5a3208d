"""Whole nodes of fakes that follow each other, in one virtual world."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from hyper.fake import FakeHyper, FakeNetwork
from manifests.documents.record import make_record, record_path
from manifests.model.nodes import Place
from manifests.model.policy import Policy
from reconciler.peers.membership import Membership
from reconciler.peers.port import STATUSES, Change, Follow
from tests.sim.nodes import Home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from hyper.port import RecordPath
    from reconciler.node import Node
    from reconciler.peers.port import Member

PUSH = Change("somebody", "push")


class MemberHome(Home):
    """A home whose node has a store, and a folder on the real disk for what is kept of others."""

    def __init__(self, network: FakeNetwork, name: str, folder: Path, *labels: str) -> None:
        super().__init__()
        self.name, self.folder = name, folder / name
        self.about = {"name": name, "labels": list(labels)}
        for each in ("state/snapshots", "packages"):
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        self.hyper = FakeHyper(network, name)
        self.member: Membership

    def make_member(self) -> Member:
        self.member = Membership(
            self.hyper,
            self.folder,
            Place(self.name, frozenset(self.about["labels"])),
            version="1",
            key_of=lambda service_id: f"key-{service_id}",
            wall=lambda: 1e9 + anyio.current_time(),
        )
        return self.member

    async def follow(self, other: MemberHome, **policy: Any) -> None:
        """By the whole link, as `atek key` tells it."""
        keys = await other.member.keys()
        follow = Follow(
            other.name, keys.records, keys.noise, other.hyper.address, Policy.model_validate(policy)
        )
        await self.member.follow(follow)

    async def write(self, **manifest: Any) -> int:
        """A record of its own. Without a command it is a program whose revision differs with `marker`."""
        return await self.member.services.declare(plain(**manifest), PUSH)

    async def package(self, service_id: str, *names: str, **atek_json: Any) -> str:
        """A package on a drive, with these files, as a source."""
        folder = self.folder / "work" / service_id
        folder.mkdir(parents=True, exist_ok=True)
        for name in names or ("index.js",):
            (folder / name).write_text("// 1\n")
        (folder / "atek.json").write_text(json.dumps(atek_json))
        drive = await self.hyper.put_drive(f"package/{service_id}", str(folder))
        return f"hyper://{drive.key}?version={drive.version}"

    async def published(self, other: MemberHome) -> dict[str, Mapping[str, Any]]:
        """What this node can read of the other's status: id → entry."""
        followed = await self.member.followed(other.name)
        if not followed.status:
            return {}
        records = await self.hyper.list(followed.status, STATUSES)
        return {record.path[-1]: record.value for record in records}


class World:
    """A laptop, and a pi that follows it; the laptop follows the pi only for its status."""

    def __init__(self, folder: Path) -> None:
        self.network = FakeNetwork()
        self.laptop = MemberHome(self.network, "laptop", folder)
        self.pi = MemberHome(self.network, "pi", folder, "kitchen")

    @asynccontextmanager
    async def nodes(self, **policy: Any) -> AsyncIterator[tuple[Node, Node]]:
        async with self.laptop.node() as laptop, self.pi.node() as pi:
            await self.pi.follow(self.laptop, **policy)
            await self.laptop.follow(self.pi, statusOnly=True)
            yield laptop, pi


def plain(id: str, marker: str = "a", **rest: Any) -> dict[str, Any]:
    """A manifest as a person writes it."""
    return {"id": id, "runtime": "process", "command": ["run", marker], **rest}


def record(**manifest: Any) -> tuple[RecordPath, Mapping[str, Any]]:
    """A record as another program writes it, past the node."""
    value = make_record(plain(**manifest), owner="system", updated_at="", updated_by="")
    return record_path(f"key-{manifest['id']}"), value


def reason(entry: Mapping[str, Any], kind: str = "Ready") -> tuple[str, str]:
    found: Sequence[Mapping[str, Any]] = entry["conditions"]
    return next(((each["status"], each["reason"]) for each in found if each["type"] == kind), ("", ""))
