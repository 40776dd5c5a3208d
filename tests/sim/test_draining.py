"""What ends while requests are in flight to it: drains and stops of whole nodes of fakes."""

from __future__ import annotations

from math import inf

import anyio
import pytest

from runtimes.base import Exit
from runtimes.fake import Behaviour
from runtimes.router.port import NoRouter
from tests.sim.nodes import (
    Home,
    events,
    eventually,
    manifest,
    ready,
    reconciling,
    service,
    states,
    whole_life,
)

pytestmark = pytest.mark.anyio


async def test_the_old_revision_ends_after_the_requests_in_flight_to_it(home: Home) -> None:
    home.requests["a"] = 7
    home.source.declare(manifest("a", "one"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        (old,) = home.router.backends()
        home.source.declare(manifest("a", "two"))
        await anyio.sleep(6.5)
        assert home.running() == [("a", "one", 0), ("a", "two", 0)]
        assert states(node, "a") == ["Draining", "Ready"]
        assert reconciling(node, "a") == ("Draining", "waits until requests in flight have finished")
        assert ready(node, "a") and old not in home.router.backends()
        # It may still call others while it answers what it was asked.
        assert len(home.router.routes["a"].credentials) == 2
        await anyio.sleep(1)
        assert home.running() == [("a", "two", 0)]
        told = [event for event in events(node, "a") if event[1] == "Replaced"]
        assert told == [("Draining", "Replaced"), ("Stopping", "Replaced")]


async def test_requests_that_never_end_have_until_the_drain_timeout_and_then_the_grace_period(
    home: Home,
) -> None:
    home.requests["a"] = inf
    home.machine.behave("a", Behaviour(ignores_stop=True))
    home.source.declare(manifest("a", update={"drainTimeout": "20s"}, stop={"gracePeriod": "5s"}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        begin = anyio.current_time()
        home.source.undeclare("a")
        await eventually(lambda: states(node, "a") == ["Stopping"])
        assert 20 <= anyio.current_time() - begin < 20.2
        assert ("Stopping", "DrainTimeoutExceeded") in events(node, "a")
        assert home.router.waiting == set()
        await eventually(lambda: not home.running())
        assert 25 <= anyio.current_time() - begin < 25.5


async def test_the_drain_timeout_of_today_holds_for_what_drains_already(home: Home) -> None:
    home.requests["a"] = inf
    home.source.declare(manifest("a", update={"drainTimeout": "1h"}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        await node.stop_service("a")
        await anyio.sleep(100)
        assert states(node, "a") == ["Draining"]
        home.source.declare(manifest("a", update={"drainTimeout": "10s"}))
        await eventually(lambda: not home.running(), within=1)


async def test_a_recreated_service_drains_before_the_next_revision_starts(home: Home) -> None:
    home.requests["a"] = 7
    home.source.declare(manifest("a", "one", update={"strategy": "recreate"}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two", update={"strategy": "recreate"}))
        await anyio.sleep(6.5)
        assert (home.running(), states(node, "a")) == ([("a", "one", 0)], ["Draining"])
        await eventually(lambda: home.running() == [("a", "two", 0)], within=1)


async def test_what_drains_serves_again_when_it_is_wanted_again(home: Home) -> None:
    home.requests["a"] = 20
    home.source.declare(manifest("a", "one"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two"))
        await eventually(lambda: states(node, "a") == ["Draining", "Ready"])
        (old,) = (i["instance"] for i in service(node, "a")["instances"] if i["state"] == "Draining")
        home.source.declare(manifest("a", "one"))
        await eventually(lambda: states(node, "a") == ["Ready", "Draining"])
        assert home.router.backends() == {old}
        await eventually(lambda: home.running() == [("a", "one", 0)])
        assert home.machine.starts == 2
        assert home.router.waiting == set()


@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
async def test_a_manifest_that_is_away_for_a_moment_costs_nothing(home: Home, strategy: str) -> None:
    home.requests["a"] = inf
    home.source.declare(manifest("a", update={"strategy": strategy}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        for away in (0.0, 1.0, 20.0):
            home.source.undeclare("a")
            await eventually(lambda: states(node, "a") == ["Draining"])
            await anyio.sleep(away)
            home.source.declare(manifest("a", update={"strategy": strategy}))
            await eventually(lambda: ready(node, "a"), within=1)
            assert len(home.router.backends()) == 1
        await node.stop_service("a")
        await eventually(lambda: states(node, "a") == ["Draining"])
        await node.start_service("a")
        await eventually(lambda: ready(node, "a"), within=1)
        # None of the earlier drains ends it when its time would have come.
        await anyio.sleep(100)
        assert (home.machine.starts, states(node, "a")) == (1, ["Ready"])


async def test_what_is_not_well_while_it_drains_does_not_serve_again(home: Home) -> None:
    probe = {"httpGet": "/health", "periodSeconds": 1, "failureThreshold": 1}
    home.requests["a"] = inf
    declared = manifest("a", probes={"liveness": probe}, update={"drainTimeout": "10s"})
    home.source.declare(declared)
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a", Behaviour(unhealthy=True))
        await node.stop_service("a")
        await anyio.sleep(3)
        home.machine.behave("a", Behaviour())
        await node.start_service("a")
        await anyio.sleep(3)
        assert states(node, "a") == ["Draining"]
        await eventually(lambda: ready(node, "a"))
        assert home.machine.starts == 2


async def test_a_new_instance_starts_beside_one_that_was_asked_to_end(home: Home) -> None:
    home.machine.behave("a", Behaviour(stop_takes=8))
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.undeclare("a")
        await eventually(lambda: states(node, "a") == ["Stopping"])
        home.source.declare(manifest("a"))
        await eventually(lambda: ready(node, "a"), within=1)
        assert states(node, "a") == ["Stopping", "Ready"]
        # However often it goes and comes back, there is one beside the one that serves.
        home.source.undeclare("a")
        await eventually(lambda: states(node, "a") == ["Stopping", "Stopping"])
        home.source.declare(manifest("a"))
        await anyio.sleep(2)
        assert len(home.running()) == 2
        await eventually(lambda: states(node, "a") == ["Ready"])


async def test_a_node_that_died_between_two_of_a_slot_ends_one(home: Home) -> None:
    home.machine.behave("a", Behaviour(ignores_stop=True))
    home.source.declare(manifest("a", stop={"gracePeriod": "1m"}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.undeclare("a")
        await eventually(lambda: states(node, "a") == ["Stopping"])
        home.source.declare(manifest("a", stop={"gracePeriod": "1m"}))
        await eventually(lambda: ready(node, "a"))
        assert len(home.running()) == 2
    async with home.node() as node:
        await eventually(lambda: len(home.running()) == 1 and ready(node, "a"))
        assert home.machine.starts == 2


async def test_an_end_during_a_drain_is_no_crash(home: Home) -> None:
    home.requests["a"] = inf
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        await node.stop_service("a")
        await anyio.sleep(1)
        assert len(home.router.waiting) == 1
        home.machine.crash("a", Exit(code=1))
        await anyio.sleep(10)
        assert home.router.waiting == set()
        assert service(node, "a")["restarts"] == 0
        assert events(node, "a")[-1] == ("Stopped", "exited with status 1")


async def test_probes_that_fail_during_a_drain_or_a_stop_make_it_no_crash(home: Home) -> None:
    probe = {"httpGet": "/health", "periodSeconds": 1}
    home.requests["a"] = 10
    home.source.declare(manifest("a", probes={"liveness": probe}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a", Behaviour(unhealthy=True, stop_takes=8))
        await node.stop_service("a")
        await eventually(lambda: not home.running())
        assert service(node, "a")["restarts"] == 0


async def test_what_was_never_ready_has_nothing_to_drain(home: Home) -> None:
    home.requests["a"] = inf
    home.machine.behave("a", Behaviour(ready_after=1000))
    home.source.declare(manifest("a"))
    async with home.node():
        await eventually(lambda: bool(home.running()))
        home.source.undeclare("a")
        await eventually(lambda: not home.running(), within=1)


async def test_a_node_that_ends_lets_requests_finish_but_waits_for_no_websocket(home: Home) -> None:
    home.requests.update({"slow": 8, "socket": inf})
    home.source.declare(manifest("slow"), manifest("socket"))
    async with whole_life(home) as node:
        await eventually(lambda: ready(node, "slow") and ready(node, "socket"))
        node.shut_down()
        await eventually(lambda: home.running() == [("slow", "a", 0)], within=1)
        await anyio.sleep(6)
        assert states(node, "slow") == ["Draining"]
        begin = anyio.current_time()
    assert 0.5 < anyio.current_time() - begin < 2
    assert home.running() == []


async def test_a_node_that_ends_hurries_what_drains_already(home: Home) -> None:
    home.requests["a"] = inf
    home.source.declare(manifest("a", update={"drainTimeout": "1h"}))
    async with whole_life(home) as node:
        await eventually(lambda: ready(node, "a"))
        (instance,) = home.router.backends()
        home.source.undeclare("a")
        await anyio.sleep(100)
        assert home.router.hurried == []
        node.shut_down()
        begin = anyio.current_time()
    assert anyio.current_time() - begin < 1
    assert home.router.hurried == [instance]


async def test_a_person_who_will_not_wait_cuts_every_drain_short(home: Home) -> None:
    home.requests.update({"a": 3600, "b": 3600})
    home.machine.behave("a", Behaviour(ignores_stop=True))
    home.source.declare(manifest("a", update={"drainTimeout": "1h"}), manifest("b", dependsOn=[{"id": "a"}]))
    async with whole_life(home) as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        node.shut_down()
        await anyio.sleep(5)
        assert states(node, "a") + states(node, "b") == ["Ready", "Draining"]
        node.shut_down()
        begin = anyio.current_time()
    assert anyio.current_time() - begin < 1
    assert home.running() == []
    assert home.router.backends() == set()
    assert service(node, "a")["restarts"] == 0


async def test_a_router_that_is_away_holds_a_stop_up_until_the_drain_timeout_only(home: Home) -> None:
    home.source.declare(manifest("a", update={"drainTimeout": "20s"}), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        home.router.go_away()
        home.source.undeclare("a")
        await anyio.sleep(19.5)
        assert states(node, "a") == ["Draining"]
        await eventually(lambda: not home.running("a"), within=1)
        home.source.declare(manifest("b", "two"))
        await eventually(lambda: home.running() == [("b", "a", 0), ("b", "two", 0)])
        home.router.come_back()
        await eventually(lambda: home.running() == [("b", "two", 0)])
        assert home.router.backends() == {home.machine.live("b")[0].running.instance}


async def test_a_defect_in_the_router_keeps_the_stop_to_the_drain_timeout(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.source.declare(manifest("a", update={"drainTimeout": "20s"}), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))

        async def defect(*_: object, **__: object) -> None:
            raise ZeroDivisionError("a defect")

        monkeypatch.setattr(home.router, "drained", defect)
        home.source.undeclare("a")
        await anyio.sleep(19.5)
        assert home.running("a")
        assert ("InternalError", "ZeroDivisionError: a defect") in events(node, "a")
        await eventually(lambda: not home.running("a"), within=1)
        assert ready(node, "b")


async def test_without_a_router_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    monkeypatch.setattr("tests.sim.nodes.FakeRouter", lambda *_: NoRouter())
    home.source.declare(manifest("a", "one"), manifest("b"))
    async with whole_life(home) as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        begin = anyio.current_time()
        home.source.declare(manifest("a", "two"))
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert home.running("a") == [("a", "two", 0)]
        node.shut_down()
    assert anyio.current_time() == begin
