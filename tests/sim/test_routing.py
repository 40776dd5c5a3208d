"""What a router sees of a whole node of fakes: routes, drains, tokens, told as stories."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.sources.memory import MemorySource
from runtimes.base import Exit
from runtimes.fake import Behaviour
from runtimes.router.port import NoRouter
from tests.sim.nodes import Home, eventually, manifest, ready, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from reconciler.node import Node
    from runtimes.router.decide.table import ServiceRoute

pytestmark = pytest.mark.anyio

API = "example.com/notes"


@pytest.fixture
def home() -> Iterator[Home]:
    made = Home()
    yield made
    assert made.machine.violations == []


def states(node: Node, service_id: str) -> list[str]:
    return [instance["state"] for instance in service(node, service_id)["instances"]]


def events(node: Node, service_id: str) -> list[tuple[str, str]]:
    return [(each.reason, each.message) for each in node.events.recent() if each.service == service_id]


def reconciling(node: Node, service_id: str) -> tuple[str, str]:
    conditions = {each["type"]: each for each in service(node, service_id)["conditions"]}
    return conditions["Reconciling"]["reason"], conditions["Reconciling"]["message"]


@asynccontextmanager
async def whole_life(home: Home) -> AsyncIterator[Node]:
    """A life that ends in good order: the block has to ask for it."""
    node = home.make_node()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.run)
        yield node


async def test_what_is_declared_runs_or_is_ready_is_published(home: Home) -> None:
    home.machine.behave("a", Behaviour(ready_after=5))
    home.source.declare(manifest("a", exports=[API], allow=["example.com/other"]))
    async with home.node():
        await anyio.sleep(1)
        starting = home.router.routes["a"]
        assert (starting.key, starting.allow) == ("key-a", ("example.com/other",))
        assert [export.api for export in starting.exports] == [API]
        assert (starting.backends, [each.token for each in starting.credentials]) == ((), ["token-a-1"])
        await anyio.sleep(5)
        (backend,) = home.router.routes["a"].backends
        (process,) = home.machine.live("a")
        assert (backend.instance, backend.socket) == (
            process.running.instance,
            process.running.endpoint.socket,
        )
        home.source.undeclare("a")
        await eventually(lambda: home.router.routes == {})


async def test_policies_of_the_router_apply_at_once_and_without_a_restart(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", exports=[{"api": API, "path": "/v2"}], allow=[]))
        await anyio.sleep(0.1)
        route = home.router.routes["a"]
        assert route.allow == ()
        assert route.exports == route.backends[0].exports
        assert route.exports[0].path == "/v2"
        assert home.machine.starts == 1


async def test_todays_policies_hold_for_what_is_adopted_after_they_were_read(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
    home.machine.observable = False
    home.source.declare(manifest("a", exports=[{"api": API, "path": "/v2"}]))
    async with home.node() as node:
        await eventually(lambda: "a" in home.router.routes)
        home.machine.observable = True
        await eventually(lambda: ready(node, "a"))
        (backend,) = home.router.routes["a"].backends
        assert [export.path for export in backend.exports] == ["/v2"]
        assert home.machine.starts == 1


async def test_a_service_that_a_person_stopped_exports_nothing_until_it_is_started(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        await node.stop_service("a")
        assert home.router.routes["a"].exports == ()
        await eventually(lambda: not home.running())
        assert home.router.routes["a"].credentials == ()
        await node.start_service("a")
        assert home.router.routes["a"].exports != ()


async def test_a_stop_that_cannot_be_saved_leaves_the_route_as_it_was(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.source.declare(manifest("a", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        before = home.router.routes["a"]

        async def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(home.store, "save", full)
        with pytest.raises(Exception, match="could not be saved"):
            await node.stop_service("a")
        assert home.router.routes["a"] == before


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


async def test_one_writer_waits_for_the_end_of_the_other(home: Home) -> None:
    home.machine.behave("a", Behaviour(stop_takes=8))
    home.source.declare(manifest("a", update={"strategy": "recreate"}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.undeclare("a")
        await eventually(lambda: states(node, "a") == ["Stopping"])
        home.source.declare(manifest("a", update={"strategy": "recreate"}))
        await anyio.sleep(5)
        assert states(node, "a") == ["Stopping"]
        await eventually(lambda: ready(node, "a"), within=5)
        assert len(home.running()) == 1


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


async def test_an_adopted_instance_keeps_its_token_and_the_next_gets_a_fresh_one(home: Home) -> None:
    home.source.declare(manifest("a"), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        assert home.router.tokens() == {"token-a-1", "token-b-1"}
        home.machine.crash("b")
        await eventually(lambda: home.machine.starts == 3)
        assert home.router.tokens() == {"token-a-1", "token-b-2"}
    home.machine.crash("b")
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        assert home.router.tokens() == {"token-a-1", "token-b-3"}
        await node.restart_service("a")
        await eventually(lambda: home.router.tokens() == {"token-a-2", "token-b-3"})


async def test_a_token_is_one_instances_and_ends_with_it(home: Home) -> None:
    home.requests["a"] = 5
    home.source.declare(manifest("a", "one", replicas=2))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        assert home.router.tokens() == {"token-a-1", "token-a-2"}
        home.source.declare(manifest("a", "two", replicas=1))
        # What drains still works, and may call others.
        await eventually(lambda: home.router.tokens() == {"token-a-1", "token-a-2", "token-a-3"})
        await eventually(lambda: home.router.tokens() == {"token-a-3"})


async def test_no_token_is_told_to_anybody_but_the_router(
    home: Home, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    home.requests["a"] = 5
    home.machine.behave("bad", Behaviour(start_fails="no such program"))
    home.source.declare(manifest("a", exports=[API]), manifest("b", exports=[API]), manifest("bad"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        home.source.declare(manifest("a", "two", exports=[API]))
        home.machine.crash("b")
        await anyio.sleep(1)
        assert {"token-a-1", "token-b-2"} <= home.router.tokens()
        told = json.dumps(node.status()) + repr(node.events.recent()) + repr(node.unready())
        running = [each for c in node.reconciler.controllers.values() for each in c.instances.values()]
        told += repr(running) + caplog.text + "".join(capfd.readouterr())
        assert "key-a" not in told and "token-" not in told
    assert "token-" not in repr([vars(home.store)])


async def test_two_services_that_export_one_api(home: Home) -> None:
    def conflict(node: Node, service_id: str) -> dict[str, Any]:
        found = [c for c in service(node, service_id)["conditions"] if c["type"] == "ExportsServed"]
        return found[0] if found else {}

    home.source.declare(manifest("a", exports=[API]), manifest("b", exports=[API]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        assert conflict(node, "a") == {}
        lost = conflict(node, "b")
        assert (lost["status"], lost["reason"]) == ("False", "ExportConflict")
        assert lost["message"] == f"{API} is served by a"
        home.machine.crash("a")
        home.machine.crash("b")
        await eventually(lambda: home.machine.starts == 4)
        told = [each for each in node.events.recent() if each.reason == "ExportConflict"]
        assert [(each.service, each.warning) for each in told] == [("b", True)]
        # It has nothing to do with whether it works.
        assert ready(node, "b") and node.unready() == {}
        home.source.declare(manifest("a"))
        await eventually(lambda: conflict(node, "b") == {})


async def test_the_api_belongs_to_the_source_with_precedence(home: Home) -> None:
    first = MemorySource("first", "config")
    first.declare(manifest("z", exports=[API]))
    home.source.declare(manifest("a", exports=[API]))
    node = home.make_node(sources=[first, home.source])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.run)
        await eventually(lambda: ready(node, "a") and ready(node, "z"))
        ranks = {route.id: route.rank for route in home.router.routes.values()}
        assert ranks["z"] < ranks["a"]
        assert node.routing.lost.keys() == {"a"}
        tasks.cancel_scope.cancel()


async def test_what_runs_is_served_on_while_nobody_can_say_whether_it_is_declared(home: Home) -> None:
    home.source.declare(manifest("a", exports=[API], allow=[]))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
    home.source.set_known(False)
    async with home.node():
        await eventually(lambda: bool(home.router.backends()))
        route = home.router.routes["a"]
        assert [export.api for export in route.exports] == [API] and route.allow == ()


async def test_a_change_costs_one_publication(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.source.declare(*[manifest(f"s{number}", exports=[f"api-{number}"]) for number in range(50)])
    published: list[set[str]] = []

    def count(routes: dict[str, ServiceRoute | None]) -> None:
        published.append(set(routes))

    node = home.make_node()
    monkeypatch.setattr(home.router, "publish", count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.run)
        await eventually(lambda: not node.unready())
        # All that is declared at once, and then each service's start and readiness.
        assert len(published) == 1 + 50 + 50
        await anyio.sleep(100)
        assert len(published) == 101
        home.machine.crash("s7")
        await anyio.sleep(1)
        assert published[101:] == [{"s7"}] * 3
        tasks.cancel_scope.cancel()


async def test_a_service_that_has_kept_something_is_recreated_and_says_so(home: Home) -> None:
    home.machine.behave("a", Behaviour(keeps="it keeps files in data/a"))
    home.source.declare(manifest("a", "one"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two"))
        await eventually(lambda: home.running() == [("a", "two", 0)] and ready(node, "a"))
        assert ("UpdateStrategy", "recreate: it keeps files in data/a") in events(node, "a")
        update = service(node, "a")["update"]
        assert update == {"strategy": "recreate", "because": "it keeps files in data/a"}


async def test_a_node_that_dies_in_the_middle_of_an_update_goes_on_as_it_began(home: Home) -> None:
    home.machine.behave("a", Behaviour(keeps="it keeps files in data/a", stop_takes=8))
    home.source.declare(manifest("a", "one"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two"))
        await eventually(lambda: states(node, "a") == ["Stopping"])
        await anyio.sleep(1)
    # What was looked at once is not looked at again.
    home.machine.behave("a", Behaviour(stop_takes=8))
    async with home.node() as node:
        await eventually(lambda: home.running() == [("a", "two", 0)] and ready(node, "a"))
        assert not [event for event in events(node, "a") if event[0] == "UpdateStrategy"]


async def test_after_a_failed_update_of_one_writer_the_old_revision_comes_back(home: Home) -> None:
    home.machine.behave("a/one", Behaviour(keeps="it keeps files in data/a"))
    home.machine.behave("a/two", Behaviour(keeps="it keeps files in data/a", ready_after=inf))
    home.source.declare(manifest("a", "one", update={"healthyDeadline": "20s"}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two", update={"healthyDeadline": "20s"}))
        await eventually(lambda: home.running() == [("a", "two", 0)])
        await eventually(lambda: home.running() == [("a", "one", 0)] and ready(node, "a"))
        assert service(node, "a")["observedRevision"] != service(node, "a")["desiredRevision"]
