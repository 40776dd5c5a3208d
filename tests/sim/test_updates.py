"""New revisions in a whole node of fakes: prepared, tried, taken over or taken down again."""

from __future__ import annotations

import anyio
import pytest

from runtimes.fake import Behaviour
from tests.sim.nodes import Home, condition, eventually, manifest, ready, service

pytestmark = pytest.mark.anyio


async def test_a_revision_that_never_gets_ready_is_taken_down_and_the_old_one_serves() -> None:
    home = Home()
    home.source.declare(manifest("a", "good"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a/bad", Behaviour(ready_after=10_000))
        home.source.declare(manifest("a", "bad"))
        await eventually(lambda: condition(node, "a", "Stalled") == ("True", "HealthyDeadlineExceeded"))
        await eventually(lambda: home.running() == [("a", "good", 0)])
        await anyio.sleep(3600)
        assert home.running() == [("a", "good", 0)]
        assert ready(node, "a")
        starts = home.machine.starts
        await node.start_service("a")
        await eventually(lambda: home.machine.starts > starts, what="a person asked again")


async def test_a_stalled_revision_stays_stalled_over_a_restart_and_the_old_one_is_restarted() -> None:
    home = Home()
    home.source.declare(manifest("a", "good"))
    home.machine.behave("a/bad", Behaviour(ready_after=10_000))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "bad"))
        await eventually(lambda: condition(node, "a", "Stalled")[0] == "True")
        await anyio.sleep(1)
    home.machine.crash("a")
    async with home.node() as node:
        await eventually(lambda: home.running() == [("a", "good", 0)])
        assert condition(node, "a", "Stalled") == ("True", "HealthyDeadlineExceeded")


async def test_what_cannot_succeed_by_waiting_is_not_tried_again_and_the_old_one_serves() -> None:
    home = Home()
    home.machine.behave("a/bad", Behaviour(start_refused="there is no such program"))
    home.machine.behave("b", Behaviour(start_refused="there is no such program"))
    home.source.declare(manifest("a", "good"), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "bad"), manifest("b"))
        refused = ("True", "CommandNotFound")
        await eventually(lambda: condition(node, "a", "Stalled") == refused)
        await eventually(lambda: condition(node, "b", "Stalled") == refused)
        assert "or by `atek start b`" in str(service(node, "b")["conditions"])
        await anyio.sleep(3600)
        for service_id in ("a", "b"):
            told = [event.reason for event in node.events.recent() if event.service == service_id]
            # Once as what happened, and once as what the service is now.
            assert told.count("CommandNotFound") <= 2
        assert ready(node, "a") and home.running() == [("a", "good", 0)]
        home.machine.behave("b", Behaviour())
        await node.start_service("b")
        await eventually(lambda: ready(node, "b"), what="a person asked again")


async def test_what_was_healthy_before_is_tried_again_also_when_its_program_is_gone() -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a", Behaviour(start_refused="its disk is away"))
        home.machine.crash("a")
        await eventually(lambda: condition(node, "a") == ("False", "CommandNotFound"))
        await anyio.sleep(600)
        told = [event.reason for event in node.events.recent()]
        assert told.count("CommandNotFound") < 30
        home.machine.behave("a", Behaviour())
        await eventually(lambda: ready(node, "a"))


async def test_a_restart_replaces_with_the_same_care_as_an_update() -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        first = service(node, "a")["observedRevision"]
        await node.restart_service("a")
        await eventually(lambda: ready(node, "a") and service(node, "a")["observedRevision"] != first)
        await eventually(lambda: len(home.running()) == 1)
    async with home.node() as node:
        await anyio.sleep(50)
        assert home.machine.starts == 2


async def test_preparing_runs_while_the_old_revision_serves() -> None:
    home = Home()
    home.machine.behave("a/two", Behaviour(prepare_takes=300))
    home.source.declare(manifest("a", "one"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two", source="/app"))
        await anyio.sleep(100)
        assert home.running() == [("a", "one", 0)]
        assert condition(node, "a", "Reconciling") == ("True", "Preparing")
        home.machine.crash("a")
        await eventually(lambda: home.running() == [("a", "one", 0)])
        await eventually(lambda: home.running() == [("a", "two", 0)], within=300)


async def test_a_newer_revision_cancels_the_preparation_of_an_older_one() -> None:
    home = Home()
    home.machine.behave("a/slow", Behaviour(prepare_takes=10_000))
    home.source.declare(manifest("a", "slow", source="/app"))
    async with home.node() as node:
        await anyio.sleep(10)
        home.source.declare(manifest("a", "quick", source="/app"))
        await eventually(lambda: ready(node, "a"), within=5)


async def test_a_failed_preparation_changes_nothing_and_is_tried_again() -> None:
    home = Home()
    home.source.declare(manifest("a", "one"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a/two", Behaviour(prepare_fails="npm install failed: E404"))
        home.source.declare(manifest("a", "two", source="/app"))
        await anyio.sleep(60)
        assert home.running() == [("a", "one", 0)]
        assert "E404" in str(service(node, "a")["conditions"])
        home.machine.behave("a/two", Behaviour())
        await eventually(lambda: home.running() == [("a", "two", 0)], within=700)
