"""Services from records: of this node, and of another one that it follows, whatever happens meanwhile."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from trio.testing import MockClock

from hyper.fake import FakeHyper, FakeNetwork
from hyper.port import Drive, Write
from manifests.documents.record import SERVICES, drive_url, make_record, record_path
from manifests.model.nodes import Place
from manifests.model.policy import Policy
from manifests.sources import fetching, following, records
from manifests.sources.drives import DriveCache
from manifests.sources.records import RecordSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hyper.port import Database
    from manifests.model.snapshot import Declared, Problem

pytestmark = pytest.mark.anyio

#: Seconds of a clock that does not wait; of a real one only where something is wrong.
PATIENCE = 3600.0


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return ("trio", {"clock": MockClock(autojump_threshold=0)}) if request.param == "trio" else "asyncio"


@pytest.fixture(autouse=True)
def hurried(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real clock nobody waits as long as a node does."""
    if anyio_backend == "asyncio":
        for module, name in (
            (following, "PATIENCE"), (following, "ASK"), (fetching, "FIRST"), (fetching, "SECURE_AFTER"),
            (fetching, "SELDOM"), (records, "KEEP_AGAIN"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, 0.1)


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


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.db = (await made.laptop.create("records")).db_id
    return made


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


async def test_records_come_change_and_go(world: World) -> None:
    async with watching(world.follow()) as pi:
        assert pi.source.snapshot.known
        await world.write(spec("a"), spec("b"))
        await pi.until_ids("a", "b")
        a, b = pi.source.snapshot.services
        assert (a.file, pi.source.recorded["a"].key, pi.source.recorded["a"].owner) == (
            "laptop:a", "key-a", "me",
        )  # fmt: skip
        await world.write(spec("b", port=80))
        await pi.until(lambda: pi.find("b").manifest.port == 80)
        assert pi.find("a") is a and pi.find("b") is not b
        await world.delete("a")
        await pi.until_ids("b")
        assert not pi.source.snapshot.problems


async def test_a_package_is_fetched_and_declared_as_a_folder(world: World) -> None:
    exports = '{"exports": [{"api": "example.com/notes", "path": "/api"}]}'
    source = await world.package("notes", {"index.js": "1", "atek.json": exports})
    async with watching(world.follow()) as pi:
        await world.write({"id": "notes", "source": source})
        await pi.until_ids("notes")
        manifest = pi.find("notes").manifest
        assert Path(str(manifest.source), "index.js").read_text() == "1"
        assert manifest.runtime == "node" and manifest.exports is not None
        assert [each.api for each in manifest.exports] == ["example.com/notes"]
        await pi.until(lambda: not pi.source.snapshot.problems)


async def test_an_update_whose_package_is_not_here_leaves_the_old_one(world: World) -> None:
    source = await world.package("notes")
    async with watching(world.follow()) as pi:
        await world.write({"id": "notes", "source": source})
        await pi.until_ids("notes")
        old = pi.find("notes")
        await world.write({"id": "notes", "source": drive_url(Drive("f" * 64, 3))}, spec("other"))
        await pi.until_reason("notes", "Fetching")
        await pi.until_reason("notes", "FetchFailed")
        assert "nobody has version 3" in str(pi.problem("notes"))
        assert pi.find("notes") is old
        await pi.until_ids("notes", "other")
        await world.write({"id": "notes", "source": await world.package("notes", {"index.js": "2"})})
        await pi.until(lambda: pi.find("notes") is not old)
        assert not pi.source.snapshot.problems


async def test_updates_while_an_older_package_is_fetched(world: World) -> None:
    source = await world.package("notes")
    async with watching(world.follow()) as pi:
        await world.write({"id": "notes", "source": drive_url(Drive("f" * 64, 3))})
        await pi.until_reason("notes", "Fetching")
        await world.write({"id": "notes", "source": source})
        await pi.until_ids("notes")
        await pi.until(lambda: not pi.source.snapshot.problems)


async def test_a_push_to_a_node_that_is_away_arrives_when_it_is_back(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"))
        await pi.until_ids("a")
        world.network.cut(world.laptop, world.pi)
        for number in range(300):
            await world.write(spec("a", env={"N": str(number)}), spec(f"s{number % 7}"))
        before = pi.changes
        await pi.source.scan()
        assert pi.ids == ["a"]
        world.network.heal(world.laptop, world.pi)
        await pi.until_ids("a", *(f"s{number}" for number in range(7)))
        await pi.until(lambda: pi.find("a").manifest.env == {"N": "299"})
        assert pi.changes - before < 10
        assert pi.source.state.lag == 0


async def test_a_drive_comes_when_its_node_is_back(world: World) -> None:
    source = await world.package("notes")
    async with watching(world.follow()) as pi:
        world.network.cut(world.laptop, world.pi)
        third = FakeHyper(world.network, "third")
        await third.open(world.db)
        world.network.connect(third, world.laptop)
        await world.write({"id": "notes", "source": source})
        world.network.cut(third, world.laptop)
        # The record comes by a third node, which does not have the package.
        world.network.connect(third, world.pi)
        await pi.until_reason("notes", "FetchFailed")
        world.network.heal(world.laptop, world.pi)
        await pi.until_ids("notes")


async def test_boots_offline_from_what_was_kept(world: World) -> None:
    source = await world.package("notes")
    async with watching(world.follow()) as pi:
        await world.write({"id": "notes", "source": source}, spec("a"), spec("b"))
        await pi.until_ids("a", "b", "notes")
        await world.delete("b")
        await pi.until_ids("a", "notes")
        await world.secured()
        await world.write({"id": "notes", "source": drive_url(Drive("f" * 64, 3))})
        await pi.until_reason("notes", "Fetching")
    world.pi.go_away()
    after = world.follow()
    await after.scan()
    assert after.snapshot.known
    assert [each.manifest.id for each in after.snapshot.services] == ["a", "notes"]
    async with watching(after) as pi:
        await pi.until_reason("notes", "Fetching")
        await pi.until_reason("", "Away")
        assert pi.ids == ["a", "notes"]
        await world.write(spec("c"))
        world.pi.come_back()
        await pi.until_ids("a", "c", "notes")
        assert "Away" not in pi.reasons.values()


async def test_the_daemon_dies_and_comes_back(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"))
        await pi.until_ids("a")
        world.pi.go_away()
        await world.write(spec("b"))
        await pi.source.scan()
        assert pi.ids == ["a"] and pi.source.state.database is not None
        assert pi.source.state.database.peers == 0
        world.pi.come_back()
        await pi.until_ids("a", "b")


async def test_a_forked_log_keeps_the_last_good_state_until_it_is_repaired(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"))
        await pi.until_ids("a")
        world.network.cut(world.laptop, world.pi)
        world.laptop.fork_log(world.db)
        world.network.heal(world.laptop, world.pi)
        await pi.until_reason("", "LogForked")
        assert pi.ids == ["a"] and pi.source.state.forked
        await world.laptop.repair(world.db)
        await world.write(spec("a"), spec("b"))
        await pi.until_ids("a", "b")
        assert not pi.source.state.forked and not pi.source.snapshot.problems


async def lose_all(world: World) -> None:
    """The writer's store is as on its first day, and its log a new one."""
    version = (await world.laptop.info(world.db)).version
    world.laptop.lose(world.db, blocks=version - 2)
    world.laptop.fork_log(world.db)
    await world.laptop.repair(world.db)


async def test_who_deletes_the_last_service_means_it(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"), spec("b"))
        await pi.until_ids("a", "b")
        await world.delete("a", "b")
        await pi.until_ids()
        await world.write(spec("c"))
        await pi.until_ids("c")
    await world.delete("c")
    async with watching(world.follow()) as pi:
        await pi.until_ids()
        assert not pi.source.snapshot.problems


async def test_a_follow_that_lost_all_keeps_what_it_had(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"), spec("b"))
        await pi.until_ids("a", "b")
        await lose_all(world)
        await pi.until_reason("", "AllowEmpty")
        assert pi.ids == ["a", "b"]
    async with watching(world.follow()) as pi:
        await pi.until_reason("", "AllowEmpty")
        assert pi.ids == ["a", "b"]
        await world.write(spec("c"))
        await pi.until_ids("c")
        await lose_all(world)
        await pi.until_reason("", "AllowEmpty")
        pi.source.set_policy(Policy(allow_empty=True))
        await pi.until_ids()
        assert not pi.source.snapshot.problems
    after = world.follow()
    await after.scan()
    assert not after.snapshot.services


async def test_a_person_may_say_that_empty_is_right(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"))
        await pi.until_ids("a")
        await lose_all(world)
        await pi.until_reason("", "AllowEmpty")
        pi.source.accept_empty()
        await pi.until_ids()
        assert not pi.source.snapshot.problems


async def test_own_records_go_when_they_are_deleted_and_stay_when_the_store_is_lost(world: World) -> None:
    async with watching(world.own()) as own:
        await world.write(spec("a"))
        await own.until_ids("a")
        await world.delete("a")
        await own.until_ids()
        await world.write({"id": "b", "source": "./b"})
        await own.until_ids("b")
        assert own.find("b").base == str(world.folder)
    world.laptop = FakeHyper(world.network, "laptop", primary_key="another")
    async with watching(world.own()) as own:
        await own.until_reason("", "AllowEmpty")
        assert own.ids == ["b"]
        await world.write(spec("c"))
        await own.until_ids("c")


async def test_nodes_choose_who_runs_a_service(world: World) -> None:
    nobody_has_it = drive_url(Drive("f" * 64, 3))
    async with watching(world.follow()) as pi:
        await world.write(
            spec("by-name", nodes=["pi"]),
            spec("by-label", nodes=["attic", {"label": "kitchen"}]),
            {"id": "elsewhere", "source": nobody_has_it, "nodes": ["laptop"]},
        )
        await pi.until_ids("by-label", "by-name")
        assert not pi.source.snapshot.problems
        await world.write(spec("by-name", nodes=["laptop"]))
        await pi.until_ids("by-label")
        pi.source.set_place(Place("laptop"))
        await pi.until_ids("by-name")


async def test_what_the_policy_forbids_is_not_run_and_says_why(world: World) -> None:
    world.policy = Policy(runtimes=("node",), ids=("lab-*",), apis=("example.com/*",), memory=2**20)
    fine = await world.package("fine")
    python = await world.package("python", {"main.py": "1"})
    exporting = await world.package(
        "exporting", {"index.js": "", "atek.json": '{"exports": ["other.com/a"]}'}
    )
    async with watching(world.follow()) as pi:
        await world.write(
            {"id": "lab-fine", "source": fine},
            {"id": "lab-python", "source": python},
            {"id": "lab-exporting", "source": exporting},
            {"id": "lab-folder", "source": "/etc"},
            {"id": "lab-file", "source": "file:///etc"},
            {"id": "home", "source": fine},
        )
        await pi.until_ids("lab-fine")
        forbidden = ["home", "lab-exporting", "lab-file", "lab-folder", "lab-python"]
        await pi.until(lambda: pi.reasons == dict.fromkeys(forbidden, "PolicyForbids"))
        assert "python is not allowed; allowed is node" in str(pi.problem("lab-python"))
        manifest = pi.find("lab-fine").manifest
        assert manifest.allow == ("example.com/*",) and manifest.resources.memory == 2**20
        pi.source.set_policy(Policy(ids=("home",)))
        await pi.until_ids("home")
        pi.source.set_policy(Policy(status_only=True))
        await pi.until_ids()
        assert not pi.source.snapshot.problems


async def test_a_refused_update_keeps_what_is_allowed(world: World) -> None:
    world.policy = Policy(runtimes=("process",))
    async with watching(world.follow()) as pi:
        await world.write(spec("a"))
        await pi.until_ids("a")
        old = pi.find("a")
        await world.write(spec("a", runtime="python"))
        await pi.until_reason("a", "PolicyForbids")
        assert pi.find("a") is old
        pi.source.set_policy(Policy(runtimes=("node",)))
        await pi.until_ids()


async def test_a_broken_record_hurts_no_other(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"), spec("b"))
        await pi.until_ids("a", "b")
        old = pi.find("a")
        await world.batch(
            Write(record_path("key-a"), {"spec": {"id": "a", "comand": []}}),
            Write(record_path("x"), "nonsense"),
            Write((*SERVICES, "y", "z"), record(spec("deep"))),
            Write(record_path("key-b"), record(spec("b", port=80))),
        )
        await pi.until(lambda: pi.find("b").manifest.port == 80)
        assert pi.find("a") is old and pi.ids == ["a", "b"]
        assert pi.problem("a").reason == "BrokenRecord"
        assert "comand: unknown key (did you mean command?)" in str(pi.problem("a"))
        assert len(pi.source.snapshot.problems) == 3


async def test_a_damaged_journal_is_told_and_healed(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"), spec("b"))
        await pi.until_ids("a", "b")
    (journal,) = (world.folder / "snapshots").glob("*.records")
    journal.write_bytes(journal.read_bytes().replace(b'"b"', b'"c"', 1))
    world.pi.go_away()
    source = world.follow()
    await source.scan()
    # What is missing may be running.
    assert not source.snapshot.known and [each.manifest.id for each in source.snapshot.services] == ["a"]
    async with watching(source) as pi:
        assert pi.reasons[""] == "Damaged"
        world.pi.come_back()
        await pi.until_ids("a", "b")
        assert pi.source.snapshot.known and not pi.source.snapshot.problems


async def test_a_journal_that_cannot_be_written_is_told_and_makes_up_for_it(world: World) -> None:
    snapshots = world.folder / "snapshots"
    async with watching(world.follow()) as pi:
        await world.write(spec("a"))
        await pi.until_ids("a")
        snapshots.rename(world.folder / "aside")
        snapshots.write_text("in the way")
        await world.write(spec("b"))
        await pi.until_ids("a", "b")
        assert pi.reasons[""] == "Damaged"
        snapshots.unlink()
        await pi.until(lambda: not pi.source.snapshot.problems)
    after = world.follow()
    await after.scan()
    assert len(after.snapshot.services) == 2 and after.snapshot.known


async def test_a_package_that_is_damaged_is_fetched_again(world: World) -> None:
    source = await world.package("notes")
    async with watching(world.follow()) as pi:
        await world.write({"id": "notes", "source": source})
        await pi.until_ids("notes")
        await world.secured()
        folder = Path(str(pi.find("notes").manifest.source))
    (folder / "index.js").write_text("")
    async with watching(world.follow()) as pi:
        await pi.until_ids("notes")
        assert (folder / "index.js").read_text() == "notes"
        os.rename(folder, world.folder / "gone")
        await pi.source.scan()
        await pi.until(lambda: folder.is_dir() and pi.ids == ["notes"])


async def test_ten_thousand_records(world: World, anyio_backend: Any) -> None:
    if anyio_backend != "asyncio":
        # So many are written by a thread, of which a clock that does not wait knows nothing.
        anyio_backend[1]["clock"].autojump_threshold = 0.5
    await world.write(*(spec(f"s{number:05}") for number in range(10_000)))
    async with watching(world.follow()) as pi:
        await pi.until(lambda: len(pi.ids) == 10_000)
        before = {each.manifest.id: each for each in pi.source.snapshot.services}
        await world.write(spec("s05000", port=80))
        await pi.until(lambda: pi.find("s05000").manifest.port == 80)
        same = [each for each in pi.source.snapshot.services if before[each.manifest.id] is each]
        assert len(same) == 9_999
    world.pi.go_away()
    after = world.follow()
    await after.scan()
    assert after.snapshot.known and len(after.snapshot.services) == 10_000


async def test_lag_counts_what_is_known_and_not_here(world: World) -> None:
    async with watching(world.follow()) as pi:
        await world.write(spec("a"))
        await pi.until_ids("a")
        world.pi.lag(world.db)
        await world.write(spec("b"), spec("c"))
        await pi.source.scan()
        assert pi.source.state.lag == 2
        world.pi.lag(world.db, lagging=False)
        await pi.until_ids("a", "b", "c")
        await world.batch(Write(("atek.cloud", "change"), {"what": "nothing of a service"}))
        await pi.source.scan()
        assert pi.source.state.lag == 0


async def test_packages_that_nobody_needs_are_deleted(world: World) -> None:
    drives = world.cache()
    first, second = await world.package("one"), await world.package("two")
    source = world.follow(drives)
    # Nobody knows yet what it needs.
    (world.folder / "drives" / "ab" / "1").mkdir(parents=True)
    await drives.collect()
    assert (world.folder / "drives" / "ab" / "1").is_dir()
    async with watching(source) as pi:
        await world.write({"id": "one", "source": first}, {"id": "two", "source": second})
        await pi.until_ids("one", "two")
        folders = {each: str(pi.find(each).manifest.source) for each in pi.ids}
        await world.delete("one")
        await pi.until_ids("two")
        await drives.collect(in_use=[folders["one"]])
        assert os.path.isdir(folders["one"]) and not (world.folder / "drives" / "ab").exists()
        await drives.collect()
        assert not os.path.exists(folders["one"]) and os.path.isdir(folders["two"])
    source.forget()
    await drives.collect()
    assert not os.listdir(world.folder / "drives") and not os.listdir(world.folder / "snapshots")
