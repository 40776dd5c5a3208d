"""Which records run here: nodes and labels that they name, and what the policy of a follow allows."""

from __future__ import annotations

import pytest

from hyper.port import Drive
from manifests.documents.record import drive_url
from manifests.model.nodes import Place
from manifests.model.policy import Policy
from tests.manifests.sources.records.worlds import World, spec, watching

pytestmark = pytest.mark.anyio


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
