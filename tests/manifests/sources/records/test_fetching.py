"""Packages of records: fetched from who has them, replaced once here, deleted when nobody needs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyper.fake import FakeHyper
from hyper.port import Drive
from manifests.documents.record import drive_url
from tests.manifests.sources.records.worlds import World, spec, watching

pytestmark = pytest.mark.anyio


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
