"""Nodes that take services from each other, told as stories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from reconciler.errors import UserError
from reconciler.peers.port import Change, Follow
from reconciler.peers.publication import mark_of
from tests.sim.members import World, reason
from tests.sim.nodes import eventually, manifest, ready, service

if TYPE_CHECKING:
    from reconciler.node import Node
    from tests.sim.members import MemberHome

pytestmark = pytest.mark.anyio


def source(node: Node, name: str) -> dict[str, Any]:
    return next(each for each in node.status()["sources"] if each["name"] == name)


def synced(node: Node, name: str) -> str:
    return reason(source(node, name))[1] or reason(source(node, name), "Synced")[1]


def since(node: Node, name: str) -> str:
    """When it became as synced as it is."""
    found = {each["type"]: each["lastTransitionTime"] for each in source(node, name)["conditions"]}
    return str(found["Synced"])


async def test_a_record_runs_where_it_was_written_and_where_it_is_followed(world: World) -> None:
    async with world.nodes() as (laptop, pi):
        await world.laptop.write(id="notes")
        assert "notes" in laptop.reconciler.controllers, "declared when the write returns"
        await eventually(lambda: ready(laptop, "notes") and ready(pi, "notes"))
        assert service(laptop, "notes")["source"] == "records"
        assert service(pi, "notes")["source"] == "laptop"
        await world.laptop.write(id="notes", marker="b")
        await eventually(lambda: world.pi.running() == [("notes", "b", 0)])
        await world.laptop.member.services.remove("notes", Change("somebody", "delete"))
        await eventually(lambda: not world.laptop.running())


async def test_the_status_of_the_other_node_comes_back(world: World) -> None:
    async with world.nodes() as (_, pi):
        version = await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        await anyio.sleep(2)
        entry = (await world.laptop.published(world.pi))["notes"]
        assert reason(entry) == ("True", "Ready") and entry["observedRevision"] == entry["desiredRevision"]
        (instance,) = entry["instances"]
        assert instance.keys() == {"state", "revision", "slot", "startedAt"} and "file" not in entry
        about = (await world.laptop.member.followed("pi")).node
        assert (about["name"], about["labels"]) == ("pi", ["kitchen"])
        (follow,) = (await _self(world.laptop, world.pi))["follows"]
        assert follow["name"] == "laptop" and follow["position"][1] >= version and follow["lag"] == 0
        keys = await world.laptop.member.keys()
        assert follow["mark"] == mark_of(keys.records) and keys.records not in str(follow)


async def _self(reader: MemberHome, other: MemberHome) -> dict[str, Any]:
    followed = await reader.member.followed(other.name)
    found = await reader.hyper.get(followed.status, ("atek.cloud", "node", "self"))
    assert found is not None
    value: dict[str, Any] = found.value
    return value


async def test_what_was_written_while_the_network_was_cut_arrives_when_it_heals(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        world.network.cut(world.laptop.hyper, world.pi.hyper)
        await world.laptop.write(id="notes", marker="b")
        await eventually(lambda: synced(pi, "laptop") == "PeerAway")
        away = since(pi, "laptop")
        await anyio.sleep(3600)
        assert since(pi, "laptop") == away
        assert ready(pi, "notes") and world.pi.running() == [("notes", "a", 0)]
        world.network.heal(world.laptop.hyper, world.pi.hyper)
        await eventually(lambda: world.pi.running() == [("notes", "b", 0)])
        await eventually(lambda: synced(pi, "laptop") == "Synced")
        assert since(pi, "laptop") > away


async def test_a_node_that_boots_before_its_daemon_runs_what_it_knew(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await world.pi.write(id="own")
        await eventually(lambda: ready(pi, "notes") and ready(pi, "own"))
    for home in (world.laptop, world.pi):
        for each in ("notes", "own"):
            home.machine.crash(each)
    world.pi.hyper.go_away()
    async with world.laptop.node(), world.pi.node() as pi:
        begin = anyio.current_time()
        await eventually(lambda: ready(pi, "notes") and ready(pi, "own"))
        assert anyio.current_time() - begin < 1
        await eventually(lambda: synced(pi, "laptop") == "StoreAway")
        await world.laptop.write(id="notes", marker="b")
        await anyio.sleep(100)
        assert ("notes", "a", 0) in world.pi.running()
        with pytest.raises(UserError, match="does not answer"):
            await world.pi.write(id="own", marker="b")
        world.pi.hyper.come_back()
        await eventually(lambda: ("notes", "b", 0) in world.pi.running())
        await eventually(lambda: synced(pi, "laptop") == "Synced")
        assert (await world.pi.member.keys()).records


async def test_who_stops_a_record_stops_it_everywhere_and_over_restarts(world: World) -> None:
    async with world.nodes() as (laptop, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(laptop, "notes") and ready(pi, "notes"))
        await laptop.stop_service("notes")
        await eventually(lambda: not world.laptop.running() and not world.pi.running())
        assert service(pi, "notes")["suspended"]
    async with world.laptop.node() as laptop, world.pi.node() as pi:
        await anyio.sleep(100)
        assert not world.laptop.running() and not world.pi.running()
        await laptop.start_service("notes")
        await eventually(lambda: ready(laptop, "notes") and ready(pi, "notes"))


async def test_who_pushed_it_stops_what_only_others_run(world: World) -> None:
    async with world.nodes() as (laptop, pi):
        await world.laptop.write(id="notes", nodes=["pi"])
        await eventually(lambda: ready(pi, "notes"))
        assert laptop.service("notes") is None
        await laptop.stop_service("notes")
        await eventually(lambda: not world.pi.running())
        assert service(pi, "notes")["suspended"]
        await laptop.start_service("notes")
        await eventually(lambda: ready(pi, "notes"))
        with pytest.raises(UserError, match="there is no service nothing"):
            await laptop.stop_service("nothing")


async def test_a_followed_service_can_be_stopped_here_alone(world: World) -> None:
    async with world.nodes() as (laptop, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(laptop, "notes") and ready(pi, "notes"))
        await pi.stop_service("notes")
        await eventually(lambda: not world.pi.running())
        assert ready(laptop, "notes")
    async with world.laptop.node(), world.pi.node() as pi:
        await anyio.sleep(10)
        assert not world.pi.running()
        await pi.start_service("notes")
        await eventually(lambda: ready(pi, "notes"))


async def test_a_record_service_can_be_stopped_and_started_while_the_daemon_is_away(world: World) -> None:
    async with world.nodes() as (laptop, _):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(laptop, "notes"))
        world.laptop.hyper.go_away()
        await laptop.stop_service("notes")
        await eventually(lambda: not world.laptop.running())
        await laptop.start_service("notes")
        await eventually(lambda: ready(laptop, "notes"))


async def test_nodes_and_labels_choose_who_runs_a_service(world: World) -> None:
    async with world.nodes() as (laptop, pi):
        await world.laptop.write(id="a", nodes=["pi"])
        await world.laptop.write(id="b", nodes=[{"label": "kitchen"}])
        await world.laptop.write(id="c", nodes=["laptop"])
        world.pi.source.declare(manifest("d", nodes=["laptop"]), manifest("e", nodes=["laptop", "pi"]))
        await eventually(lambda: ready(pi, "a") and ready(pi, "b") and ready(laptop, "c") and ready(pi, "e"))
        await anyio.sleep(10)
        assert [each[0] for each in world.pi.running()] == ["a", "b", "e"]
        assert [each[0] for each in world.laptop.running()] == ["c"]


async def test_unfollowed_services_are_pruned_and_nothing_of_them_is_kept(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        await world.pi.member.unfollow("laptop")
        await eventually(lambda: not world.pi.running() and "notes" not in pi.entries())
        assert [each["name"] for each in pi.status()["sources"]] == ["memory", "records"]
        with pytest.raises(UserError, match="does not follow laptop"):
            await world.pi.member.unfollow("laptop")
    async with world.pi.node() as pi:
        await anyio.sleep(10)
        assert world.pi.member.follows() == [] and not world.pi.running()


async def test_the_last_service_goes_when_its_record_is_deleted(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        await world.laptop.member.services.remove("notes", Change("somebody", "delete"))
        await eventually(lambda: not world.pi.running() and "notes" not in pi.entries())


async def test_all_services_lost_at_once_needs_a_persons_word(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        records = (await world.laptop.member.keys()).records
        world.laptop.hyper.lose(records, (await world.laptop.hyper.info(records)).version - 2)
        world.laptop.hyper.fork_log(records)
        await world.laptop.hyper.repair(records)
        await eventually(lambda: "has no services any more" in str(source(pi, "laptop")["error"]))
        await anyio.sleep(100)
        assert ready(pi, "notes")
        await world.pi.follow(world.laptop, allowEmpty=True)
        await eventually(lambda: not world.pi.running())


async def test_a_forked_log_stalls_its_source_and_what_ran_runs_on(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        keys = await world.laptop.member.keys()
        world.laptop.hyper.fork_log(keys.records)
        await eventually(lambda: reason(source(pi, "laptop"), "Stalled") == ("True", "LogForked"))
        assert ready(pi, "notes")
        with pytest.raises(UserError):
            await world.laptop.write(id="notes", marker="b")
        await world.laptop.hyper.repair(keys.records)
        await world.laptop.write(id="notes", marker="c")
        await eventually(lambda: world.pi.running() == [("notes", "c", 0)])
        await eventually(lambda: reason(source(pi, "laptop"), "Stalled")[0] == "False")


async def test_nothing_is_written_while_nothing_changes(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        await anyio.sleep(120)
        before = world.pi.hyper.writes, world.laptop.hyper.writes
        await anyio.sleep(3600)
        assert (world.pi.hyper.writes, world.laptop.hyper.writes) == before


async def test_a_service_that_crashes_for_ever_does_not_fill_the_log(world: World) -> None:
    from runtimes.fake import Behaviour

    async with world.nodes() as (_, pi):
        world.pi.machine.behave("notes", Behaviour(exits_after=0.01))
        await world.laptop.write(id="notes", restart={"initialDelay": 0.001, "maxDelay": 0.001})
        await eventually(lambda: "notes" in pi.entries())
        before = world.pi.hyper.writes
        await anyio.sleep(100)
        assert world.pi.machine.starts > 1000 > 250 > world.pi.hyper.writes - before


async def test_status_is_published_again_after_the_daemon_was_away(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
        world.pi.hyper.go_away()
        world.pi.source.declare(manifest("own"))
        await eventually(lambda: ready(pi, "own"))
        await pi.stop_service("notes")
        world.pi.hyper.come_back()
        await anyio.sleep(10)
        entries = await world.laptop.published(world.pi)
        assert entries["notes"]["suspended"] and reason(entries["own"]) == ("True", "Ready")
        world.pi.source.undeclare("own")
        await anyio.sleep(10)
        assert (await world.laptop.published(world.pi)).keys() == {"notes"}


async def test_follows_that_cannot_be(world: World) -> None:
    async with world.nodes():
        keys = await world.laptop.member.keys()
        own = await world.pi.member.keys()
        for follow, why in [
            (Follow("other", keys.records, keys.noise), "is followed already, as laptop"),
            (Follow("me", own.records, own.noise), "this node's own key"),
            (Follow("Two Words", "ab" * 32), "cannot be the name"),
            (Follow("records", "ab" * 32), "cannot be the name"),
            (Follow("other", "abc"), "is no key"),
            (Follow("other", "ab" * 32, "xyz"), "is no key"),
            (Follow("other", "ab" * 32, "ab" * 32, "nowhere"), "is no address"),
            (Follow("other", "ab" * 32), "nobody could connect"),
        ]:
            with pytest.raises(UserError, match=why):
                await world.pi.member.follow(follow)
        assert [each.name for each in world.pi.member.follows()] == ["laptop"]


async def test_a_damaged_list_of_follows_prunes_nothing(world: World) -> None:
    async with world.nodes() as (_, pi):
        await world.laptop.write(id="notes")
        await eventually(lambda: ready(pi, "notes"))
    file = world.pi.folder / "state" / "follows.json"
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_text()
    file.write_text(whole[:-10])
    async with world.pi.node() as pi:
        await anyio.sleep(100)
        assert world.pi.running() == [("notes", "a", 0)]
        assert "is damaged" in str(source(pi, "follows")["error"])
        with pytest.raises(UserError, match="damaged"):
            await world.pi.member.follow(Follow("other", "ab" * 32, "ab" * 32))
    file.write_text(whole)
    async with world.laptop.node(), world.pi.node() as pi:
        await eventually(lambda: ready(pi, "notes"))
