"""Whoever gets an id after another owner's service does not get what that one left in its data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from reconciler.errors import UserError
from reconciler.peers.port import Change
from tests.sim.members import MemberHome, World, reason
from tests.sim.nodes import eventually, manifest, ready, service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.node import Node

pytestmark = pytest.mark.anyio

DELETE = Change("somebody", "delete")


async def owned(node: Node) -> None:
    """Waits until the service is refused, and is not run for a long time."""
    await eventually(lambda: "notes" in node.entries() and not ready(node, "notes"))
    await eventually(lambda: reason(service(node, "notes")) == ("False", "DataOwned"))
    await anyio.sleep(300)
    entry = service(node, "notes")
    assert reason(entry, "Stalled") == ("True", "DataOwned") and entry["instances"] == []


async def test_another_nodes_service_does_not_get_what_a_local_one_left(world: World) -> None:
    async with world.nodes() as (_, pi):
        world.pi.source.declare(manifest("notes", "ours"))
        await eventually(lambda: ready(pi, "notes"))
        world.pi.data.held.add("notes")
        await world.laptop.write(id="notes", marker="theirs")
        await eventually(lambda: bool(pi.desired.merged.conflicts))
        assert world.pi.running() == [("notes", "ours", 0)]
        world.pi.source.undeclare("notes")
        await owned(pi)
        assert "atek adopt notes" in str(service(pi, "notes")["conditions"])
        published = (await world.laptop.published(world.pi))["notes"]
        assert reason(published) == ("False", "DataOwned")
        await pi.adopt_data("notes")
        await eventually(lambda: world.pi.running() == [("notes", "theirs", 0)])
        with pytest.raises(UserError, match="no service waits"):
            await pi.adopt_data("notes")


async def test_a_local_service_does_not_get_what_another_nodes_left_nor_takes_it_down(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes", marker="theirs")
        await world.laptop.write(id="other", marker="theirs")
        await eventually(lambda: ready(pi, "notes"))
        world.pi.data.held.add("notes")
        world.pi.source.declare(manifest("notes", "ours"))
        await eventually(lambda: reason(service(pi, "notes"), "UpToDate") == ("False", "DataOwned"))
        assert ("notes", "theirs", 0) in world.pi.running() and ready(pi, "notes")
        await world.laptop.member.services.remove("notes", DELETE)
        await owned(pi)
        world.pi.data.held.remove("notes")
        await eventually(lambda: ("notes", "ours", 0) in world.pi.running(), what="it was moved away")
        assert "notes" not in owners(world)


async def test_of_two_followed_nodes_none_gets_what_the_other_left(world: World, tmp_path: Path) -> None:
    third = MemberHome(world.network, "third", tmp_path)
    async with world.nodes() as (_, pi), third.node():
        await world.pi.follow(third)
        await third.follow(world.pi, statusOnly=True)
        await world.laptop.write(id="notes", marker="first")
        await world.laptop.write(id="other")
        await eventually(lambda: ready(pi, "notes"))
        world.pi.data.held.add("notes")
        await third.write(id="notes", marker="second")
        await world.laptop.member.services.remove("notes", DELETE)
        await owned(pi)
        await world.laptop.write(id="notes", marker="again")  # whose own it is
        await eventually(
            lambda: world.pi.running("notes") == [("notes", "again", 0)], what="its own is its own"
        )


def owners(world: World) -> Mapping[str, str]:
    return {each: owner for each, owner in world.pi.data.owners.items() if owner}


async def test_who_ran_with_its_data_before_owners_were_noted_goes_on_with_it(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        world.pi.data.held.add("notes")
        await anyio.sleep(10)
    world.pi.data.owners.clear()
    async with world.laptop.node(), world.pi.node() as pi:
        await eventually(lambda: ready(pi, "notes"))
        assert owners(world)["notes"].startswith("follow:")
    world.pi.data.owners.clear()
    world.pi.machine.crash("notes")
    async with world.pi.node() as pi:
        await eventually(lambda: ready(pi, "notes"), what="what was healthy last is remembered")


async def test_data_that_nobody_knows_the_owner_of_is_the_nodes_own(world: World) -> None:
    world.pi.data.held.add("notes")
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await owned(pi)
        world.pi.source.declare(manifest("notes", "ours"))
        await eventually(lambda: world.pi.running() == [("notes", "ours", 0)])


async def test_what_cannot_be_noted_is_not_run_until_it_can(world: World) -> None:
    async with world.nodes() as (_, pi):
        world.pi.data.full = True
        await world.laptop.write(id="notes")
        world.pi.source.declare(manifest("own"))
        await owned(pi)
        assert ready(pi, "own")
        world.pi.data.full = False
        await eventually(lambda: ready(pi, "notes"))
