"""A laptop that writes records and a pi that follows it, and what a test waits for of a source."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from hyper.fake import FakeHyper, FakeNetwork
from hyper.port import Write
from manifests.documents.record import drive_url, make_record, record_path
from manifests.model.nodes import Place
from manifests.model.policy import Policy
from manifests.sources.drives import DriveCache
from manifests.sources.records import RecordSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from hyper.port import Database
    from manifests.model.snapshot import Declared, Problem

#: Seconds of a clock that does not wait; of a real one only where something is wrong.
PATIENCE = 3600.0


class World:
    """A laptop that writes records, and a pi that follows it; both have fakes for daemons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = FakeNetwork()
        self.laptop, self.pi = FakeHyper(self.network, "laptop"), FakeHyper(self.network, "pi")
        self.network.connect(self.laptop, self.pi)
        self.policy = Policy()
        self.place = Place("pi", frozenset({"kitchen"}))
        self.db = ""

    async def write(self, *specs: dict[str, Any]) -> None:
        """As `push` and `apply` do on the laptop."""
        await self.batch(*(Write(record_path(f"key-{spec['id']}"), record(spec)) for spec in specs))

    async def batch(self, *writes: Write) -> None:
        self.db = (await self.laptop.create("records")).db_id
        await self.laptop.batch(self.db, list(writes))

    async def delete(self, *ids: str) -> None:
        await self.batch(*(Write(record_path(f"key-{each}"), deleted=True) for each in ids))

    async def package(self, name: str, files: dict[str, str] | None = None) -> str:
        """Puts a folder on a drive of the laptop's; returns what `source:` says then."""
        folder = self.folder / "packages" / name
        for path, text in (files or {"index.js": name}).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return drive_url(await self.laptop.put_drive(name, str(folder)))

    async def database(self) -> Database:
        return await self.pi.open(self.db)

    def cache(self) -> DriveCache:
        return DriveCache(self.pi, self.folder / "drives")

    async def secured(self) -> None:
        """What was fetched is only used again once it is safe on the disk."""
        with anyio.fail_after(PATIENCE):
            while not list((self.folder / "drives").glob("*/*.json")):
                await anyio.sleep(0.01)

    def follow(self, drives: DriveCache | None = None) -> RecordSource:
        return RecordSource(
            self.pi, self.database, "laptop", "follow", place=self.place, drives=drives or self.cache(),
            folder=self.folder / "snapshots", policy=self.policy,
        )  # fmt: skip

    def own(self) -> RecordSource:
        return RecordSource(
            self.laptop, lambda: self.laptop.create("records"), "records", "record",
            place=Place("laptop"), drives=DriveCache(self.laptop, self.folder / "own-drives"),
            folder=self.folder / "own-snapshots", base=str(self.folder),
        )  # fmt: skip


def record(spec: dict[str, Any]) -> dict[str, Any]:
    return make_record(spec, owner="me", updated_at="2024-01-01T00:00:00Z", updated_by="laptop")


def spec(service: str, **rest: Any) -> dict[str, Any]:
    return {"id": service, "command": ["true"], **rest}


class Watched:
    """A source that is followed; `until` waits for what it says."""

    def __init__(self, source: RecordSource) -> None:
        self.source = source
        self.changes = 0
        self._changed = anyio.Event()

    def changed(self) -> None:
        self.changes += 1
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def until(self, holds: Callable[[], object]) -> None:
        with anyio.fail_after(PATIENCE):
            while not holds():
                await self._changed.wait()

    @property
    def ids(self) -> list[str]:
        return [declared.manifest.id for declared in self.source.snapshot.services]

    @property
    def reasons(self) -> dict[str, str]:
        """By the service's id, or by nothing for the source as a whole."""
        return {problem.service: problem.reason for problem in self.source.snapshot.problems}

    def find(self, service: str) -> Declared:
        return next(each for each in self.source.snapshot.services if each.manifest.id == service)

    def problem(self, service: str) -> Problem:
        return next(each for each in self.source.snapshot.problems if each.service == service)

    async def until_ids(self, *ids: str) -> None:
        await self.until(lambda: self.ids == list(ids))

    async def until_reason(self, service: str, reason: str) -> None:
        await self.until(lambda: self.reasons.get(service) == reason)


@asynccontextmanager
async def watching(source: RecordSource) -> AsyncIterator[Watched]:
    watched = Watched(source)
    await source.scan()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.watch, watched.changed)
        yield watched
        tasks.cancel_scope.cancel()


async def lose_all(world: World) -> None:
    """The writer's store is as on its first day, and its log a new one."""
    version = (await world.laptop.info(world.db)).version
    world.laptop.lose(world.db, blocks=version - 2)
    world.laptop.fork_log(world.db)
    await world.laptop.repair(world.db)
