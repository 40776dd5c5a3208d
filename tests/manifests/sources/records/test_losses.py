"""A database that lost what it had, forked, or was emptied on purpose."""

from __future__ import annotations

import pytest

from hyper.fake import FakeHyper
from manifests.model.policy import Policy
from tests.manifests.sources.records.worlds import World, lose_all, spec, watching

pytestmark = pytest.mark.anyio


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
