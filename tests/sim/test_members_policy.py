"""What a node allows the services of another one that it follows, told as stories."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.sim.members import World, reason
from tests.sim.nodes import eventually, manifest, ready, service

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("policy", "written"),
    [
        ({"ids": ["lab-*"]}, {}),
        ({"runtimes": ["node"]}, {}),
        ({"apis": ["example.com/*"]}, {"exports": ["other.com/notes"]}),
        ({}, {"source": "/home"}),
    ],
)
async def test_what_a_policy_forbids_is_not_run_and_both_sides_say_why(
    world: World, policy: dict[str, Any], written: dict[str, Any]
) -> None:
    async with world.nodes(**policy) as (_, pi):
        await world.laptop.write(id="notes", **written)
        await eventually(lambda: "notes" in pi.entries())
        entry = service(pi, "notes")
        assert reason(entry) == ("False", "PolicyForbids") and reason(entry, "Stalled")[0] == "True"
        await anyio.sleep(100)
        assert world.pi.running() == [] and world.pi.machine.starts == 0
        published = (await world.laptop.published(world.pi))["notes"]
        assert published["conditions"] == entry["conditions"]


async def test_who_is_followed_only_for_its_status_runs_nothing_here(world: World) -> None:
    async with world.nodes(statusOnly=True) as (laptop, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(laptop, "notes"))
        await anyio.sleep(100)
        assert world.pi.machine.starts == 0 and pi.entries() == {}


async def test_an_update_that_is_forbidden_leaves_the_old_one_running(world: World) -> None:
    async with world.nodes(apis=["example.com/*"]) as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        await world.laptop.write(id="notes", marker="b", exports=["other.com/notes"])
        await eventually(lambda: reason(service(pi, "notes"), "UpToDate")[1] == "PolicyForbids")
        assert ready(pi, "notes") and world.pi.running() == [("notes", "a", 0)]
        await world.laptop.write(id="notes", marker="b")
        await eventually(lambda: world.pi.running() == [("notes", "b", 0)])
        assert reason(service(pi, "notes"), "UpToDate") == ("", "")


async def test_a_stricter_policy_stops_what_it_forbids_and_a_milder_one_starts_it(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        await world.pi.follow(world.laptop, ids=["lab-*"])
        await eventually(lambda: not world.pi.running())
        await world.pi.follow(world.laptop, ids=["n*"])
        await eventually(lambda: ready(pi, "notes"))


async def test_another_nodes_services_act_for_that_node_and_call_only_what_the_policy_allows(
    world: World,
) -> None:
    async with world.nodes(apis=["example.com/*"]) as (_, pi):
        await world.laptop.write(id="notes", exports=["example.com/notes"])
        world.pi.source.declare(manifest("own"))
        await eventually(lambda: ready(pi, "notes") and ready(pi, "own"))
        keys = await world.laptop.member.keys()
        route = world.pi.router.routes["notes"]
        assert (route.owner, route.allow) == (f"follow:{keys.records}", ("example.com/*",))
        assert world.pi.router.routes["own"].owner == "system"
        await world.pi.member.unfollow("laptop")
        await eventually(lambda: world.pi.running() == [("own", "a", 0)])


async def test_an_id_that_changes_hands_never_lets_another_nodes_program_act_for_this_one(
    world: World,
) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes", marker="theirs")
        await eventually(lambda: ready(pi, "notes"))
        world.pi.source.declare(manifest("notes", "ours"))
        owners = set()
        while world.pi.running() != [("notes", "ours", 0)]:
            if any(marker == "theirs" for _, marker, _ in world.pi.running()):
                owners.add(world.pi.router.routes["notes"].owner.partition(":")[0])
            await anyio.sleep(0.01)
        assert owners == {"follow"}
        await eventually(lambda: world.pi.router.routes["notes"].owner == "system")
        world.pi.source.undeclare("notes")
        await eventually(lambda: world.pi.router.routes["notes"].owner.startswith("follow:"))
