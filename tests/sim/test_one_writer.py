"""Services that have kept something: one instance writes at a time, whatever happens to the update."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.fake import Behaviour
from tests.sim.nodes import Home, events, eventually, manifest, ready, service, states

if TYPE_CHECKING:
    from reconciler.node import Node

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize("keeps", ["it keeps files in data/a", ""])
async def test_where_somebody_is_asked_first_nothing_goes_back_with_data(keeps: str, home: Home) -> None:
    update = {"healthyDeadline": "20s", "onFailure": "ask"}
    home.machine.behave("a/one", Behaviour(keeps=keeps))
    home.machine.behave("a/two", Behaviour(keeps=keeps, ready_after=inf))
    home.source.declare(manifest("a", "one", update=update))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.source.declare(manifest("a", "two", update=update))
        await eventually(lambda: stalled(node) == "HealthyDeadlineExceeded")
        await anyio.sleep(60)
        assert [marker for _, marker, _ in home.running("a")] == ([] if keeps else ["one"])
    if not keeps:
        return
    async with home.node() as node:
        await anyio.sleep(60)
        assert home.running() == [] and stalled(node) == "HealthyDeadlineExceeded", "in the next life too"
        await node.start_service("a")
        await eventually(lambda: home.running() == [("a", "two", 0)])
        await eventually(lambda: stalled(node) == "HealthyDeadlineExceeded" and not home.running())
        home.source.declare(manifest("a", "one", update=update))
        await eventually(lambda: home.running() == [("a", "one", 0)] and ready(node, "a"))


def stalled(node: Node) -> str:
    found = next(each for each in service(node, "a")["conditions"] if each["type"] == "Stalled")
    return str(found["reason"]) if found["status"] == "True" else ""
