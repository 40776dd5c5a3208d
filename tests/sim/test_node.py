"""A whole node of fakes, told as stories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from reconciler.errors import UserError
from runtimes.base import Copy, Endpoint, Exit
from runtimes.fake import Behaviour, FakeRuntime
from tests.sim.nodes import Home, condition, eventually, manifest, ready, service

pytestmark = pytest.mark.anyio


async def test_declared_services_become_ready() -> None:
    home = Home()
    home.source.declare(manifest("a"), manifest("b", replicas=2))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        assert home.running() == [("a", "a", 0), ("b", "a", 0), ("b", "a", 1)]
        assert node.unready() == {}
    assert home.machine.violations == []


async def test_an_edit_rolls_over_without_a_gap() -> None:
    home = Home()
    home.machine.behave("a", Behaviour(ready_after=3))
    home.source.declare(manifest("a", "one"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two"))
        await anyio.sleep(1)
        assert home.running() == [("a", "one", 0), ("a", "two", 0)]
        await eventually(lambda: home.running() == [("a", "two", 0)])
        assert ready(node, "a")


async def test_tasks_that_a_cluster_keeps_come_and_go_under_one_instance() -> None:
    home = Home()
    home.source.declare(manifest("a", image="x", placement="swarm", replicas=3))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        assert home.running() == [("a", "a", 0)]
        loop = node.reconciler
        (tracked,) = loop.controllers["a"].instances.values()
        running = replace(tracked.running, copies=())
        loop.moved(running, "0 of 3 tasks run", ["task 1 on pi: the machine does not answer"])
        await eventually(lambda: condition(node, "a") == ("False", "Unready"))
        assert loop.controllers["a"].progress == "0 of 3 tasks run"
        assert any(event.reason == "TaskLost" for event in node.events.recent())
        assert not home.router.routes["a"].backends
        places = (Copy("t1", "shed", Endpoint(host="10.0.0.2", port=1)),)
        loop.moved(replace(running, copies=places), "1 of 3 tasks run", [])
        await eventually(lambda: ready(node, "a"))
        assert [backend.host for backend in home.router.routes["a"].backends] == ["10.0.0.2"]
        assert home.machine.starts == 1, "whatever is lacking, the cluster starts it"
    assert home.machine.violations == []


async def test_crashes_back_off_and_recover() -> None:
    home = Home()
    home.source.declare(manifest("a"), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a", Behaviour(exits_after=0.01))
        home.machine.crash("a")
        before = home.machine.starts
        await anyio.sleep(600)
        assert 12 <= home.machine.starts - before <= 25
        assert condition(node, "a") == ("False", "CrashLoopBackOff")
        assert ready(node, "b")
        home.machine.behave("a", Behaviour())
        await eventually(lambda: ready(node, "a"))


async def test_the_first_crash_is_replaced_at_once() -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        begin = anyio.current_time()
        home.machine.crash("a")
        await eventually(lambda: home.machine.starts == 2)
        assert anyio.current_time() - begin < 0.1


async def test_dependencies_start_in_order_and_stop_in_reverse() -> None:
    home = Home()
    home.machine.behave("db", Behaviour(ready_after=5, stop_takes=2))
    home.machine.behave("web", Behaviour(stop_takes=2))
    home.source.declare(manifest("web", dependsOn=[{"id": "db"}]), manifest("db"))
    async with anyio.create_task_group() as tasks:
        node = home.make_node()
        tasks.start_soon(node.run)
        await eventually(lambda: bool(home.running("db")))
        await anyio.sleep(1)
        assert not home.running("web")
        assert condition(node, "web") == ("False", "DependencyNotReady")
        await eventually(lambda: ready(node, "web"))
        node.shut_down()
        await anyio.sleep(1)
        assert home.running("db") and home.running("web")
        await eventually(lambda: not home.running("web"))
        assert home.running("db")
    assert home.running() == []


async def test_kill_nine_and_a_new_life_adopt_without_a_second_copy() -> None:
    home = Home()
    home.source.declare(manifest("a", replicas=3))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
    starts = home.machine.starts
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        await anyio.sleep(100)
    assert home.machine.starts == starts
    assert home.machine.violations == []


async def test_what_was_undeclared_while_the_node_was_away_is_pruned() -> None:
    home = Home()
    home.source.declare(manifest("a"), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
    home.source.undeclare("a")
    async with home.node() as node:
        await eventually(lambda: home.running() == [("b", "a", 0)])
        await eventually(lambda: "a" not in home.store.memories)


async def test_an_unknown_source_prunes_nothing() -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
    home.source.set_known(False)
    async with home.node():
        await anyio.sleep(1000)
        assert home.running() == [("a", "a", 0)]


async def test_a_runtime_that_cannot_say_starts_nothing_until_it_can() -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
    home.machine.observable = False
    async with home.node() as node:
        await anyio.sleep(60)
        assert condition(node, "a") == ("Unknown", "Unobservable")
        home.machine.observable = True
        await eventually(lambda: ready(node, "a"))
    assert home.machine.starts == 1


async def test_a_stop_survives_restarts_and_a_start_undoes_it() -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        await node.stop_service("a")
        await eventually(lambda: not home.running())
    async with home.node() as node:
        await anyio.sleep(100)
        assert not home.running()
        assert condition(node, "a") == ("False", "Suspended")
        await node.start_service("a")
        await eventually(lambda: ready(node, "a"))


async def test_the_wrong_service_id_is_told_with_the_nearest() -> None:
    home = Home()
    home.source.declare(manifest("notes"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "notes"))
        with pytest.raises(UserError) as caught:
            await node.stop_service("note")
        assert "notes" in caught.value.hint


async def test_a_program_that_ignores_the_stop_signal_is_killed_after_its_grace_period() -> None:
    home = Home()
    home.machine.behave("a", Behaviour(ignores_stop=True))
    home.source.declare(manifest("a", stop={"gracePeriod": "5s"}))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        begin = anyio.current_time()
        home.source.undeclare("a")
        await eventually(lambda: not home.running())
        assert 5 <= anyio.current_time() - begin < 6


async def test_liveness_replaces_and_readiness_only_reports() -> None:
    probe = {"httpGet": "/health", "periodSeconds": 10}
    home = Home()
    home.source.declare(
        manifest("live", probes={"liveness": probe}), manifest("listen", probes={"readiness": probe})
    )
    async with home.node() as node:
        await eventually(lambda: ready(node, "live") and ready(node, "listen"))
        for service_id in ("live", "listen"):
            home.machine.behave(service_id, Behaviour(unhealthy=True))
        await eventually(lambda: not ready(node, "listen"))
        await anyio.sleep(40)
        starts = home.machine.starts
        assert starts >= 3
        assert home.running("listen") == [("listen", "a", 0)]
        home.machine.behave("listen", Behaviour())
        await eventually(lambda: ready(node, "listen"))


async def test_nothing_is_left_on_the_disk_of_what_nobody_declares_any_more() -> None:
    home = Home()
    home.source.declare(manifest("a", source="/a"), manifest("b", source="/b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        home.source.undeclare("a")
        await eventually(lambda: "a" not in node.reconciler.controllers)
        assert {key[0] for key in home.machine.prepared} == {"b"}
    home.source.undeclare("b")
    async with home.node() as node:
        await eventually(lambda: "b" not in node.reconciler.controllers)
        assert home.machine.prepared == set()


async def test_what_is_declared_again_while_it_is_cleared_away_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    home.source.declare(manifest("a", source="/a"))
    collect = FakeRuntime.collect

    async def slowly(self: FakeRuntime, service_id: str, keep: Any) -> None:
        await collect(self, service_id, keep)
        await anyio.sleep(5)

    monkeypatch.setattr(FakeRuntime, "collect", slowly)
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.undeclare("a")
        await eventually(lambda: not home.machine.prepared)
        home.source.declare(manifest("a", source="/a"))
        await anyio.sleep(1)
        assert home.running() == []
        await eventually(lambda: ready(node, "a"))
    assert home.machine.violations == []


async def test_what_a_probe_finds_while_something_starts_is_told() -> None:
    home = Home()
    home.machine.behave("a", Behaviour(ready_after=20))
    home.source.declare(
        manifest("a", probes={"readiness": {"httpGet": "/"}}, update={"healthyDeadline": "10s"})
    )
    async with home.node() as node:
        await anyio.sleep(5)
        told = node.reconciler.controllers["a"].condition("Ready")
        assert told is not None
        assert told.message.startswith("started, waits until it is ready: its readiness probe fails: ")
        assert [event.reason for event in node.events.recent()].count("Starting") == 0
        await eventually(lambda: condition(node, "a", "Stalled")[1] == "HealthyDeadlineExceeded")
        told = node.reconciler.controllers["a"].condition("Stalled")
        assert told is not None and "within 10s: its readiness probe fails: " in told.message


async def test_a_job_runs_once_and_not_again_in_the_next_life() -> None:
    home = Home()
    home.machine.behave("job", Behaviour(exits_after=5, exit_code=0))
    job = manifest("job", restart={"policy": "never"}, probes={"readiness": "none"})
    home.source.declare(job, manifest("after", dependsOn=[{"id": "job"}]))
    async with home.node() as node:
        await eventually(lambda: condition(node, "job") == ("False", "Completed"))
        await eventually(lambda: ready(node, "after"))
        assert node.unready() == {}
    starts = home.machine.starts
    async with home.node():
        await anyio.sleep(100)
    assert home.machine.starts == starts


async def test_who_waits_for_the_end_of_a_job_starts_when_it_succeeds() -> None:
    home = Home()
    home.machine.behave("job", Behaviour(exits_after=5, exit_code=1))
    job = manifest("job", restart={"policy": "onFailure"}, probes={"readiness": "none"})
    home.source.declare(job, manifest("after", dependsOn=[{"id": "job", "condition": "completed"}]))
    async with home.node() as node:
        await anyio.sleep(100)
        assert condition(node, "after", "Reconciling") == ("True", "DependencyNotReady")
        told = node.reconciler.controllers["after"].condition("Reconciling")
        assert told is not None and told.message == "waits for job to end successfully"
        home.machine.behave("job", Behaviour(exits_after=5, exit_code=0))
        await eventually(lambda: ready(node, "after"))
        assert condition(node, "job") == ("False", "Completed")


async def test_a_cycle_is_told_and_stops_nobody_else() -> None:
    home = Home()
    home.source.declare(
        manifest("a", dependsOn=[{"id": "b"}]), manifest("b", dependsOn=[{"id": "a"}]), manifest("c")
    )
    async with home.node() as node:
        await eventually(lambda: ready(node, "c"))
        assert condition(node, "a", "Stalled") == ("True", "DependencyCycle")
        home.source.declare(manifest("b"))
        await eventually(lambda: ready(node, "a"))


async def test_status_changes_do_not_wake_the_loop() -> None:
    home = Home()
    home.source.declare(*[manifest(f"s{number}") for number in range(20)])
    async with home.node() as node:
        await eventually(lambda: not node.unready())
        await anyio.sleep(5)
        before = sum(node.metrics.reconcile_counts)
        for _ in range(50):
            node.status()
        await anyio.sleep(20)
        assert sum(node.metrics.reconcile_counts) == before


async def test_an_exit_during_a_stop_is_no_crash() -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a", Behaviour(stop_takes=3))
        await node.stop_service("a")
        await anyio.sleep(1)
        home.machine.crash("a", Exit(code=1))
        await anyio.sleep(10)
        assert service(node, "a")["restarts"] == 0
