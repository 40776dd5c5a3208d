"""What the port promises, of the fake and of the client with a real daemon behind it alike."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hyper.port import Changes, Drive, HyperError, Listing, Position, Range, Write
from tests.hyper.daemons import Daemon, acquaint, running
from tests.hyper.pairs import FakePair, Watched, until, until_database, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hyper.port import Hyper, RecordPath
    from tests.hyper.pairs import Pair

pytestmark = pytest.mark.anyio


class RealPair:
    """Two daemons; the second one is connected to the first one, or it is not."""

    def __init__(self, laptop: Daemon, pi: Daemon) -> None:
        self._laptop, self._pi = laptop, pi
        self.laptop: Hyper = laptop.client
        self.pi: Hyper = pi.client

    async def connect(self) -> None:
        await acquaint(self._pi, self._laptop)

    async def cut(self) -> None:
        await self._laptop.client.allow([])
        await self.pi.remove_peer((await self._laptop.peer()).key)

        async def gone() -> bool:
            return not (await self.laptop.status()).peers and not (await self.pi.status()).peers

        await until(gone)


@asynccontextmanager
async def real() -> AsyncIterator[RealPair]:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi):
            yield RealPair(laptop, pi)


@pytest.fixture(params=["fake", "real"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    if request.param == "fake":
        yield FakePair()
    else:
        async with real() as made:
            yield made


@pytest.fixture
def hyper(pair: Pair) -> Hyper:
    return pair.laptop


async def refused(call: object, code: str) -> None:
    with pytest.raises(HyperError) as error:
        await call  # type: ignore[misc]
    assert error.value.code == code and error.value.message


async def fill(hyper: Hyper, *paths: RecordPath) -> str:
    db_id = (await hyper.create("records")).db_id
    await hyper.batch(db_id, [Write(path, list(path)) for path in paths])
    return db_id


# -- databases and records


async def test_a_database_is_made_once(hyper: Hyper) -> None:
    made = await hyper.create("records")
    assert made.writable and made.name == "records" and made.synced and not made.conflict
    assert await hyper.create("records") == made
    assert (await hyper.create("other")).db_id != made.db_id
    assert await hyper.info(made.db_id) == made
    assert made.db_id in {each.db_id for each in (await hyper.status()).databases}


async def test_a_record_is_read_as_it_was_written(hyper: Hyper) -> None:
    db_id = (await hyper.create("records")).db_id
    value = {"text": "Grüße 🎉 \n\0", "list": [1, 2.5, None, True], "empty": {}}
    written = await hyper.put(db_id, ("a", "ü b"), value)
    assert written.path == ("a", "ü b") and written.value == value
    assert await hyper.get(db_id, ("a", "ü b")) == written
    assert await hyper.get(db_id, ("a",)) is None
    await hyper.delete(db_id, ("a", "ü b"))
    assert await hyper.get(db_id, ("a", "ü b")) is None


async def test_every_version_stays_as_it_was(hyper: Hyper) -> None:
    db_id = (await hyper.create("records")).db_id
    await hyper.put(db_id, ("a",), 1)
    before = (await hyper.info(db_id)).version
    await hyper.put(db_id, ("a",), 2)
    await hyper.put(db_id, ("b",), 3)
    record = await hyper.get(db_id, ("a",), version=before)
    assert record is not None and record.value == 1
    assert values(await hyper.list(db_id, version=before)) == {("a",): 1}
    assert values(await hyper.list(db_id)) == {("a",): 2, ("b",): 3}


async def test_a_list_is_in_the_order_of_keys_and_within_its_range(hyper: Hyper) -> None:
    paths: list[RecordPath] = [("t", "b"), ("t", "a"), ("t", "a", "x"), ("t", "aa"), ("tt", "c"), ("s",)]
    db_id = await fill(hyper, *paths)

    async def listed(**range_: object) -> list[RecordPath]:
        records = await hyper.list(db_id, ("t",), Range(**range_))  # type: ignore[arg-type]
        return [record.path for record in records]

    everything: list[RecordPath] = [("t", "a"), ("t", "a", "x"), ("t", "aa"), ("t", "b")]
    assert await listed() == everything
    assert await listed(reverse=True) == everything[::-1]
    assert await listed(limit=2) == everything[:2]
    assert await listed(limit=2, reverse=True) == everything[:1:-1]
    assert await listed(limit=0) == []
    assert await listed(gt="a") == everything[1:]
    assert await listed(gte="a\0x", lt="b") == everything[1:3]
    assert await listed(lte="aa", reverse=True) == everything[2::-1]


async def test_a_list_longer_than_a_page_is_of_one_version(hyper: Hyper) -> None:
    db_id = (await hyper.create("records")).db_id
    await hyper.batch(db_id, [Write(("n", f"{number:05}"), number) for number in range(1203)])
    assert [record.value for record in await hyper.list(db_id, ("n",))] == list(range(1203))
    reversed_ = await hyper.list(db_id, ("n",), Range(limit=1100, reverse=True))
    assert [record.value for record in reversed_] == list(range(1202, 102, -1))


async def test_a_batch_is_whole_or_nothing(hyper: Hyper) -> None:
    db_id = await fill(hyper, ("a",), ("b",))
    version = await hyper.batch(db_id, [Write(("a",), 1), Write(("b",), deleted=True), Write(("c",), 3)])
    assert (await hyper.info(db_id)).version == version
    assert values(await hyper.list(db_id)) == {("a",): 1, ("c",): 3}
    await refused(hyper.batch(db_id, [Write(("a",), 9)], if_version=version - 1), "CAS_FAILED")
    await refused(hyper.batch(db_id, [Write(("x",), 9), Write((), 9)]), "BAD_REQUEST")
    assert values(await hyper.list(db_id)) == {("a",): 1, ("c",): 3}


async def test_a_write_can_depend_on_what_was_read(hyper: Hyper) -> None:
    db_id = (await hyper.create("records")).db_id
    first = await hyper.put(db_id, ("a",), 1, if_seq=0)
    await refused(hyper.put(db_id, ("a",), 2, if_seq=0), "CAS_FAILED")
    second = await hyper.put(db_id, ("a",), 2, if_seq=first.seq)
    await refused(hyper.delete(db_id, ("a",), if_seq=first.seq), "CAS_FAILED")
    await hyper.delete(db_id, ("a",), if_seq=second.seq)
    assert await hyper.get(db_id, ("a",)) is None


@pytest.mark.parametrize("path", [(), ("",), ("a", ""), ("a\0b",), ("\ud800",)])
async def test_what_can_be_no_path_is_refused(hyper: Hyper, path: RecordPath) -> None:
    db_id = (await hyper.create("records")).db_id
    await refused(hyper.put(db_id, path, 1), "BAD_REQUEST")


async def test_a_database_that_is_not_open_is_not_found(hyper: Hyper) -> None:
    await refused(hyper.get("ab" * 32, ("a",)), "NOT_FOUND")


async def test_history_tells_every_write(hyper: Hyper) -> None:
    db_id = (await hyper.create("records")).db_id
    one = await hyper.put(db_id, ("a", "x"), 1)
    two = await hyper.put(db_id, ("b",), 2)
    three = await hyper.put(db_id, ("a", "x"), 3)
    await hyper.delete(db_id, ("a", "x"))
    changes = await hyper.history(db_id)
    assert [(each.path, each.value, each.deleted) for each in changes] == [
        (("a", "x"), 1, False), (("b",), 2, False), (("a", "x"), 3, False), (("a", "x"), None, True),
    ]  # fmt: skip
    assert [each.seq for each in changes[:3]] == [one.seq, two.seq, three.seq]
    assert list(await hyper.history(db_id, since=two.seq, until=changes[3].seq)) == list(changes[1:3])
    assert list(await hyper.history(db_id, prefix=("a",), limit=2, reverse=True)) == [changes[3], changes[2]]


async def test_history_longer_than_a_page(hyper: Hyper) -> None:
    db_id = (await hyper.create("records")).db_id
    await hyper.batch(db_id, [Write(("n", str(number)), number) for number in range(1100)])
    assert [each.value for each in await hyper.history(db_id, limit=1050)] == list(range(1050))
    newest = await hyper.history(db_id, limit=1050, reverse=True)
    assert [each.value for each in newest] == list(range(1099, 49, -1))


async def test_what_differs_between_two_versions(hyper: Hyper) -> None:
    db_id = await fill(hyper, ("kept",), ("changed",), ("gone",))
    before = (await hyper.info(db_id)).version
    await hyper.batch(
        db_id,
        [Write(("changed",), 1), Write(("gone",), deleted=True), Write(("new",), 2), Write(("new",), 3)],
    )
    after = (await hyper.info(db_id)).version
    found = {
        (then or now).path[0]: (then and then.value, now and now.value)  # type: ignore[union-attr]
        for then, now in await hyper.diff(db_id, before, after)
    }
    assert found == {"changed": (["changed"], 1), "gone": (["gone"], None), "new": (None, 3)}
    assert list(await hyper.diff(db_id, after)) == []


async def test_differences_of_more_than_a_page(hyper: Hyper) -> None:
    db_id = (await hyper.create("records")).db_id
    await hyper.batch(db_id, [Write(("n", f"{number:04}"), number) for number in range(1100)])
    before = (await hyper.info(db_id)).version
    await hyper.batch(db_id, [Write(("n", f"{number:04}"), deleted=True) for number in range(0, 1100, 2)])
    await hyper.put(db_id, ("other",), 1)
    found = list(await hyper.diff(db_id, 0, before, ("n",)))
    assert [now.value for _, now in found if now] == list(range(1100))
    gone = list(await hyper.diff(db_id, before, prefix=("n",)))
    assert [then.value for then, now in gone if then and not now] == list(range(0, 1100, 2))


# -- watching


async def test_a_watch_begins_with_a_listing_and_misses_nothing(hyper: Hyper) -> None:
    db_id = await fill(hyper, ("t", "a"), ("other",))
    watched = Watched(hyper.watch(db_id, ("t",)))
    listing = await watched.listing()
    assert values(listing.records) == {("t", "a"): ["t", "a"]}
    await hyper.put(db_id, ("t", "b"), 1)
    await hyper.put(db_id, ("other",), 2)
    await hyper.delete(db_id, ("t", "a"))
    changes = await watched.changes(2)
    assert [(each.path, each.value, each.deleted) for each in changes] == [
        (("t", "b"), 1, False), (("t", "a"), None, True),
    ]  # fmt: skip


async def test_a_watch_goes_on_from_a_position(hyper: Hyper) -> None:
    db_id = await fill(hyper, ("a",))
    position = (await hyper.info(db_id)).position
    await hyper.put(db_id, ("b",), 1)
    event = await Watched(hyper.watch(db_id, (), position)).next()
    assert isinstance(event, Changes) and event.start == position
    assert [each.path for each in event.changes] == [("b",)]
    # A position of another log, or of blocks that are not there, is none.
    for stranger in (Position(7, 1), Position(0, 9999)):
        assert isinstance(await Watched(hyper.watch(db_id, (), stranger)).next(), Listing)


# -- other nodes'


async def test_what_is_written_there_arrives_here(pair: Pair) -> None:
    db_id = await fill(pair.laptop, ("a",))
    opened = await pair.pi.open(db_id)
    assert not opened.writable and not opened.synced and opened.version == 0
    await refused(pair.pi.get(db_id, ("a",)), "NOT_SYNCED")
    await refused(pair.pi.sync(db_id, timeout=0.05), "TIMEOUT")
    await pair.connect()
    synced = await pair.pi.sync(db_id, timeout=60)
    assert synced.synced and synced.version == synced.known == (await pair.laptop.info(db_id)).version
    assert values(await pair.pi.list(db_id)) == {("a",): ["a"]}
    await refused(pair.pi.put(db_id, ("a",), 1), "NOT_WRITABLE")
    await until_database(pair.laptop, db_id, lambda database: database.peers == 1)


async def test_a_watch_of_another_nodes_database_waits_for_it(pair: Pair) -> None:
    db_id = await fill(pair.laptop, ("a",))
    await pair.pi.open(db_id)
    watched = Watched(pair.pi.watch(db_id))
    await pair.connect()
    assert values((await watched.listing()).records) == {("a",): ["a"]}
    await pair.laptop.put(db_id, ("b",), 2)
    assert [each.value for each in await watched.changes(1)] == [2]


async def test_a_watch_of_a_prefix_that_has_nothing_is_told_so(pair: Pair) -> None:
    db_id = await fill(pair.laptop, ("elsewhere",))
    await pair.pi.open(db_id)
    watched = Watched(pair.pi.watch(db_id, ("services",)))
    await pair.connect()
    listing = await watched.listing()
    assert listing.records == [] and listing.position.version > 0
    await pair.laptop.put(db_id, ("services", "b"), 2)
    assert [each.value for each in await watched.changes(1)] == [2]


async def test_what_was_written_while_cut_off_arrives_afterwards(pair: Pair) -> None:
    db_id = await fill(pair.laptop, ("a",))
    await pair.pi.open(db_id)
    await pair.connect()
    await pair.pi.sync(db_id, timeout=60)
    watched = Watched(pair.pi.watch(db_id, (), (await pair.pi.info(db_id)).position))
    await pair.cut()
    for number in range(20):
        await pair.laptop.put(db_id, ("n",), number)
    assert (await pair.pi.info(db_id)).version < (await pair.laptop.info(db_id)).version
    await pair.connect()
    assert [each.value for each in await watched.changes(20)] == list(range(20))


async def test_a_strangers_connection_is_refused(pair: Pair) -> None:
    db_id = await fill(pair.laptop, ("a",))
    await pair.pi.open(db_id)
    await pair.connect()
    await pair.pi.sync(db_id, timeout=60)
    await pair.cut()
    assert (await pair.pi.status()).peers == [] and (await pair.laptop.status()).peers == []


# -- drives


async def test_a_folder_travels(pair: Pair, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "lib").mkdir(parents=True)
    (source / "index.js").write_text("one")
    (source / "lib" / "run").write_bytes(bytes(range(256)) * 1000)
    (source / "lib" / "run").chmod(0o755)
    (source / "node_modules").mkdir()
    (source / "node_modules" / "x").write_text("x")
    first = await pair.laptop.put_drive("app", str(source), ignore=["node_modules"])
    assert await pair.laptop.put_drive("app", str(source), ignore=["node_modules"]) == first
    (source / "index.js").write_text("two")
    second = await pair.laptop.put_drive("app", str(source), ignore=["node_modules"])
    assert second.key == first.key and second.version > first.version
    await pair.connect()
    for drive, text in ((first, "one"), (second, "two")):
        folder = target / text
        folder.mkdir(parents=True)
        await pair.pi.get_drive(drive, str(folder), timeout=60)
        assert (folder / "index.js").read_text() == text
        assert (folder / "lib" / "run").read_bytes() == bytes(range(256)) * 1000
        assert (folder / "lib" / "run").stat().st_mode & 0o777 == 0o755
        assert not (folder / "node_modules").exists()


async def test_a_drive_that_nobody_has_is_waited_for_only_so_long(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("a")
    (tmp_path / "target").mkdir()
    drive = await pair.laptop.put_drive("app", str(tmp_path / "source"))
    await refused(pair.pi.get_drive(drive, str(tmp_path / "target"), timeout=0.2), "TIMEOUT")


async def test_folders_without_anything_in_them_arrive(hyper: Hyper, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "data" / "in").mkdir(parents=True)
    (folder / "built" / "__pycache__").mkdir(parents=True)
    drive = await hyper.put_drive("app", str(folder), ignore=["__pycache__"])
    await hyper.get_drive(drive, str(tmp_path / "got"), timeout=60)
    found = sorted(str(each.relative_to(tmp_path / "got")) for each in (tmp_path / "got").rglob("*"))
    assert found == ["built", "data", "data/in"]
    assert all((tmp_path / "got" / each).is_dir() for each in found)


@pytest.mark.parametrize("name", [b"a\\b", b"a\xff"])
async def test_a_name_that_a_drive_cannot_keep_is_refused(hyper: Hyper, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"x")
    with pytest.raises(HyperError, match="cannot keep the name") as error:
        await hyper.put_drive("app", str(folder))
    assert error.value.code == "BAD_REQUEST"
    await hyper.put_drive("app", str(folder), ignore=["a*"])


async def test_of_older_versions_the_last_and_those_that_are_named_stay(hyper: Hyper, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    pushed, named = list[Drive](), list[Drive]()
    for number in range(6):
        (folder / "a").write_text(str(number))
        pushed.append(await hyper.put_drive("app", str(folder), named=named))
        named = pushed[1:2]
    assert [await hyper.is_cleared(each) for each in pushed] == [True, False, True, False, False, False]
    for number in (1, 3, 4, 5):
        await hyper.get_drive(pushed[number], str(tmp_path / str(number)), timeout=60)
        assert (tmp_path / str(number) / "a").read_text() == str(number)
    # Of others' drives nobody here has cleared anything.
    assert not await hyper.is_cleared(Drive("ab" * 32, 2))
