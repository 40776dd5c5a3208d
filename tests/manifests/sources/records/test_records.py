"""Services from records: of this node, and of another one that it follows, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from hyper.port import Drive, Write
from manifests.documents.record import SERVICES, drive_url, record_path
from tests.manifests.sources.records.worlds import World, record, spec, watching

pytestmark = pytest.mark.anyio


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
