"""What another node's services ask this machine for, told as stories: asked, granted, changed, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from reconciler.decide.conditions import condition_of
from reconciler.errors import UserError
from reconciler.peers.port import Change
from tests.sim.members import World, reason
from tests.sim.nodes import eventually, manifest, ready, service

if TYPE_CHECKING:
    from reconciler.node import Node

pytestmark = pytest.mark.anyio

TERMS: dict[str, Any] = {"trust": "foreign", "runtimes": ["process"]}
API = "atek.cloud/services-api"


def waits(node: Node, service_id: str = "notes") -> bool:
    return reason(service(node, service_id), "Stalled") == ("True", "GrantRequired")


async def test_what_is_asked_for_waits_and_both_sides_say_why(world: World) -> None:
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="notes", port=8080)
        await world.laptop.write(id="plain")
        await eventually(lambda: ready(pi, "plain") and waits(pi))
        message = condition_of(service(pi, "notes"), "Ready")["message"]
        assert "have the port 8080 of this machine" in message and "`atek grant notes`" in message
        await anyio.sleep(100)
        assert world.pi.running() == [("plain", "a", 0)]
        published = await world.laptop.published(world.pi)
        assert condition_of(published["notes"], "Ready")["message"] == message
        assert await pi.granting.grant("notes", []) == ["port:8080"]
        await eventually(lambda: ready(pi, "notes"))
        assert service(pi, "notes")["rights"] == [
            {
                "service": "notes", "source": "laptop", "id": "port:8080",
                "what": "have the port 8080 of this machine",
                "why": "no other program can have it meanwhile", "granted": True,
            }
        ]  # fmt: skip
        assert "rights" not in service(pi, "plain")


async def test_each_request_is_told_once(world: World) -> None:
    async with world.nodes(**TERMS) as (_, pi):

        def told() -> list[str]:
            return [each.message for each in pi.events.recent() if each.reason == "GrantRequired"]

        await world.laptop.write(id="notes", port=8080)
        await eventually(lambda: waits(pi))
        assert len(told()) == 1
        # It waits already, and asks for something else.
        await world.laptop.write(id="notes", port=8081)
        await eventually(lambda: len(told()) == 2)
        assert "the port 8081" in told()[1]
        await pi.granting.grant("notes", [])
        await eventually(lambda: ready(pi, "notes"))
        await pi.granting.revoke("notes", [])
        await eventually(lambda: waits(pi))
        await anyio.sleep(100)
        assert len(told()) == 3


async def test_a_grant_is_for_what_was_asked_and_for_whom(world: World) -> None:
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="notes", port=8080)
        await eventually(lambda: waits(pi))
        with pytest.raises(UserError, match="asks for no right port:80"):
            await pi.granting.grant("notes", ["port:80"])
        with pytest.raises(UserError, match="asks for nothing"):
            await pi.granting.grant("other", [])
        await pi.granting.grant("notes", ["port:8080"])
        await eventually(lambda: ready(pi, "notes"))
        # Another revision that asks for the same need not ask again.
        await world.laptop.write(id="notes", marker="b", port=8080)
        await eventually(lambda: world.pi.running() == [("notes", "b", 0)])
        # What asks for more waits, and what ran runs on.
        await world.laptop.write(id="notes", marker="c", port=8080, allow=[API])
        await eventually(lambda: waits(pi))
        await anyio.sleep(100)
        assert world.pi.running() == [("notes", "b", 0)]
        assert API not in (world.pi.router.routes["notes"].allow or [])
        assert condition_of(service(pi, "notes"), "Ready")["status"] == "True"
        await pi.granting.grant("notes", [])
        await eventually(lambda: world.pi.running() == [("notes", "c", 0)])
        assert API in (world.pi.router.routes["notes"].allow or [])


async def test_a_service_of_that_id_from_elsewhere_gets_nothing(world: World) -> None:
    async with world.nodes(**TERMS) as (_, pi):
        await world.laptop.write(id="notes", port=8080)
        await eventually(lambda: waits(pi))
        await pi.granting.grant("notes", [])
        await eventually(lambda: ready(pi, "notes"))
        # The same words from another source, and the owner's own file.
        keeper = pi.desired.gatekeeper
        assert keeper.grants.of("follow:somebody", "notes") == frozenset()
        world.pi.source.declare(manifest("notes", "own", port=8080))
        await eventually(lambda: world.pi.running() == [("notes", "own", 0)])
        assert "rights" not in service(pi, "notes") or service(pi, "notes")["rights"][0]["why"].startswith(
            "it does"
        )


async def test_what_is_taken_back_is_stopped_and_stays_so(world: World) -> None:
    async with world.laptop.node():
        async with world.pi.node() as pi:
            await world.pi.follow(world.laptop, **TERMS)
            await world.laptop.follow(world.pi, statusOnly=True)
            await world.laptop.write(id="notes", port=8080)
            await eventually(lambda: waits(pi))
            await pi.granting.grant("notes", [])
            await eventually(lambda: ready(pi, "notes"))
        async with world.pi.node() as pi:
            await eventually(lambda: ready(pi, "notes"))
            assert world.pi.machine.starts == 1
            assert await pi.granting.revoke("notes", []) == ["port:8080"]
            await eventually(lambda: not world.pi.running() and waits(pi))
            with pytest.raises(UserError, match="nothing is granted"):
                await pi.granting.revoke("notes", [])
        async with world.pi.node() as pi:
            await eventually(lambda: waits(pi))
            await anyio.sleep(100)
            assert world.pi.running() == []


async def test_stricter_terms_stop_what_ran_on_milder_ones(world: World) -> None:
    """Who was trusted like an own machine, and is not any more, keeps nothing that runs without a sandbox."""
    async with world.nodes(trust="own") as (_, pi):
        await world.laptop.write(id="notes", port=8080, allow=[API])
        await eventually(lambda: ready(pi, "notes"))
        await world.pi.follow(world.laptop, **TERMS)
        await eventually(lambda: waits(pi) and not world.pi.running())
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        (running,) = [each.running.service for each in pi.reconciler.controllers["notes"].instances.values()]
        assert (running.manifest.sandbox, running.manifest.allow) == ("strict", ())


async def test_more_than_a_source_may_bring_waits_and_those_that_run_stay(world: World) -> None:
    async with world.nodes(**TERMS, services=3, replicas=4) as (_, pi):
        for each in ("m", "n", "o", "z"):
            await world.laptop.write(id=each)
        await eventually(lambda: all(ready(pi, each) for each in "mno"))
        await eventually(lambda: "z" in pi.entries())
        await eventually(lambda: reason(service(pi, "z"), "Stalled") == ("True", "PolicyForbids"))
        assert "may bring 3 services" in condition_of(service(pi, "z"), "Ready")["message"]
        # One whose id comes first takes nobody's place, also not after a restart.
        await world.laptop.write(id="a")
        await eventually(lambda: "a" in pi.entries())
        await anyio.sleep(100)
        assert [each for each, *_ in sorted(world.pi.running())] == ["m", "n", "o"]
        await world.laptop.member.services.remove("n", Change("somebody", "delete"))
        await eventually(lambda: ready(pi, "a") and not ready(pi, "z"))
        # More instances than all may have together.
        await world.laptop.write(id="m", replicas=3)
        await eventually(lambda: "4 instances" in condition_of(service(pi, "m"), "Stalled")["message"])
        assert sorted(world.pi.running()) == [("a", "a", 0), ("m", "a", 0), ("o", "a", 0)]


async def test_a_flood_of_records_is_ten_services(world: World) -> None:
    async with world.nodes(**TERMS) as (_, pi):
        for number in range(40):
            await world.laptop.write(id=f"s{number:02}", replicas=100 if number == 5 else 1)
        await eventually(lambda: len(pi.entries()) == 40 and len(world.pi.running()) == 10)
        await anyio.sleep(100)
        assert len(world.pi.running()) == 10


async def test_a_follow_of_before_keeps_its_terms_and_says_so(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes", port=8080)
        await eventually(lambda: ready(pi, "notes"))
        (running,) = [each.running.service for each in pi.reconciler.controllers["notes"].instances.values()]
        assert (running.manifest.sandbox, running.manifest.allow) == (None, None)
        (told,) = [each for each in pi.status()["sources"] if each["name"] == "laptop"]
        assert condition_of(told, "TrustSaid")["reason"] == "TrustUnsaid"
        await world.pi.follow(world.laptop, trust="own")
        await anyio.sleep(100)
        (told,) = [each for each in pi.status()["sources"] if each["name"] == "laptop"]
        assert condition_of(told, "TrustSaid")["reason"] == "" and world.pi.machine.starts == 1
