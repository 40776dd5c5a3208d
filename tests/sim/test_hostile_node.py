"""A node that is followed and wants more than it was let: what comes of it, and what without each guard."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model import merge
from reconciler.decide import grants
from reconciler.drive.gate import GateKeeper
from reconciler.serve.peer_methods import METHODS
from runtimes.fake import Behaviour
from tests.sim.members import World, reason
from tests.sim.nodes import eventually, manifest, ready, service

if TYPE_CHECKING:
    from reconciler.node import Node

pytestmark = pytest.mark.anyio

TERMS: dict[str, Any] = {"trust": "foreign", "runtimes": ["process"]}
API = "atek.cloud/services-api"
GUARDED = pytest.mark.parametrize("guarded", [True, False])


def terms(node: Node, service_id: str) -> tuple[str | None, Any]:
    """The sandbox and the APIs of what runs of a service."""
    (running,) = [each.running.service for each in node.reconciler.controllers[service_id].instances.values()]
    return running.manifest.sandbox, running.manifest.allow


@GUARDED
async def test_to_be_a_service_of_the_owner(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guarded:
        monkeypatch.setitem(merge._RANK, "follow", -1)
    world.pi.source.declare(manifest("bank", "mine"))
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="bank", marker="theirs")
        await eventually(lambda: ready(pi, "bank") and bool(pi.desired.merged.conflicts))
        await anyio.sleep(100)
        assert world.pi.running() == [("bank", "mine" if guarded else "theirs", 0)]


@GUARDED
async def test_to_be_very_many(world: World, guarded: bool) -> None:
    async with world.nodes(**TERMS, **({} if guarded else {"services": 1000, "replicas": 1000})) as (_, pi):
        for number in range(30):
            await world.laptop.write(id=f"s{number:02}")
        await eventually(lambda: len(pi.entries()) == 30)
        await anyio.sleep(100)
        assert len(world.pi.running()) == (10 if guarded else 30)


@GUARDED
async def test_to_stay_out_of_the_sandbox_by_never_being_ready_in_it(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ran on milder terms would serve on while its successor fails."""
    if not guarded:
        monkeypatch.setattr(grants, "_fits", lambda *_: True)
    async with world.nodes(trust="own") as (_, pi):
        await world.laptop.write(id="app")
        await eventually(lambda: ready(pi, "app"))
        assert terms(pi, "app") == (None, None)
        world.pi.machine.behave("app/b", Behaviour(ready_after=inf))
        await world.laptop.write(id="app", marker="b")
        await anyio.sleep(300)
        assert world.pi.running() == [("app", "a", 0)]
        await world.pi.follow(world.laptop, **TERMS)
        await anyio.sleep(300)
        assert (("app", "a", 0) in world.pi.running()) is not guarded


@GUARDED
async def test_to_ask_for_little_first_and_for_much_once_it_was_granted(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="app", port=8080)
        await eventually(lambda: reason(service(pi, "app"), "Stalled")[1] == "GrantRequired")
        await pi.granting.grant("app", [])
        await eventually(lambda: ready(pi, "app"))
        if not guarded:
            monkeypatch.setattr(grants, "asked", lambda *_: ())
        await world.laptop.write(id="app", marker="b", port=8080, allow=[API])
        await anyio.sleep(100)
        assert (terms(pi, "app")[1] == (API,)) is not guarded


@GUARDED
async def test_to_have_what_another_node_was_granted(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guarded:
        monkeypatch.setattr(world.pi.grants, "of", lambda owner, service_id: frozenset({"port:8080"}))
    world.pi.grants.put("follow:somebody-else", "app", {"port:8080"})
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="app", port=8080)
        await eventually(lambda: "app" in pi.entries())
        await anyio.sleep(100)
        assert ready(pi, "app") is not guarded


@GUARDED
async def test_to_come_back_with_old_rights_after_it_was_left(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="app", port=8080)
        await eventually(lambda: "app" in pi.entries())
        await pi.granting.grant("app", [])
        await eventually(lambda: ready(pi, "app"))
        if not guarded:
            monkeypatch.setattr(world.pi.grants, "forget", lambda owner: None)
        await METHODS["unfollow"](pi, {"name": "laptop"})
        await eventually(lambda: not world.pi.running())
        await world.pi.follow(world.laptop, **TERMS)
        await eventually(lambda: "app" in pi.entries())
        await anyio.sleep(100)
        assert ready(pi, "app") is not guarded


@GUARDED
async def test_to_run_although_the_machine_cannot_hold_it(
    world: World, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if guarded:
        made = GateKeeper.__init__

        def make(self: GateKeeper, grants: Any, owner_of: Any, known: Any, lacking: Any) -> None:
            made(self, grants, owner_of, known, lambda limits: ("memory",))

        monkeypatch.setattr(GateKeeper, "__init__", make)
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="app")
        await eventually(lambda: "app" in pi.entries())
        await anyio.sleep(100)
        assert ready(pi, "app") is not guarded
        if guarded:
            assert reason(service(pi, "app"), "Stalled") == ("True", "LimitsUnenforceable")
            published = await world.laptop.published(world.pi)
            assert reason(published["app"]) == ("False", "LimitsUnenforceable")
