"""Waiting for the world, on a virtual clock: what is believed, and when it is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from trio.testing import MockClock

from manifests.model.manifest import Manifest
from manifests.model.snapshot import Declared
from reconciler.apis.convergence import LASTS, LOOK_ANYWAY, NOTICE, Convergence, Outcome
from tests.reconciler.fakes import FakeNode, condition, service, stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.anyio

READY = Outcome(True, "notes is ready")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def manifest(**more: Any) -> Manifest:
    return Manifest.model_validate({"id": "notes", "command": ["run"], **more})


class Told(FakeNode):
    """Implements ApiNode: works towards `wanted`, and shows what a test put into `services`."""

    wanted: Manifest | None = None

    def service(self, service_id: str) -> dict[str, Any] | None:
        return self.services.get(service_id)

    def declared(self) -> Mapping[str, Declared]:
        return {self.wanted.id: Declared(self.wanted, "/m", "/m/notes.yaml")} if self.wanted else {}

    async def look_again(self, service_id: str) -> None:
        raise AssertionError("nobody changes packages here")


@pytest.fixture
def node() -> Told:
    node = Told()
    node.wanted = manifest()
    node.add(service("notes"))
    return node


async def later(seconds: float, change: Callable[[], object], told: Told | None = None) -> None:
    """Changes something after so many seconds, with an event or without."""
    await anyio.sleep(seconds)
    change()
    if told:
        told.emit("notes", "Something")


def stalled(message: str) -> dict[str, Any]:
    conditions = [condition("Ready", "False", "Bad", message), condition("Stalled", "True", "Bad", message)]
    return service("notes") | {"conditions": conditions}


async def test_what_is_so_is_said_at_once(node: Told) -> None:
    begin = anyio.current_time()
    assert await Convergence(node, 60).serving("notes", manifest()) == READY
    assert anyio.current_time() - begin == LASTS


@pytest.mark.parametrize("event", [True, False])
async def test_the_older_manifest_being_ready_is_no_answer(node: Told, event: bool) -> None:
    new = manifest(env={"A": "1"})
    begin = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later, 3, lambda: setattr(node, "wanted", new), node if event else None)
        assert await Convergence(node, 60).serving("notes", new) == READY
    # An event is heard at once; without one it takes a look.
    seconds = anyio.current_time() - begin
    assert 3 + LASTS <= seconds <= 3 + LASTS + (0 if event else LOOK_ANYWAY) + 1e-9


@pytest.mark.parametrize("stale", [stalled("of the older manifest"), service("notes", ready=False)])
async def test_an_answer_that_does_not_last_is_none(node: Told, stale: dict[str, Any]) -> None:
    """The loop has a turn of its own after a wish was declared, before its status is about that wish."""
    node.add(stale)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later, LASTS / 2, lambda: node.add(service("notes")))
        assert await Convergence(node, 60).serving("notes", manifest()) == READY


async def test_readiness_that_does_not_last_is_none_either(node: Told) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later, LASTS / 2, lambda: node.add(stalled("the new one is bad")))
        outcome = await Convergence(node, 60).serving("notes", manifest())
    assert outcome == Outcome(False, "notes: Bad: the new one is bad")


async def test_conditions_may_follow_their_event(node: Told) -> None:
    node.add(service("notes", ready=False))
    begin = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later, 3, lambda: None, node)
        tasks.start_soon(later, 3 + LASTS / 2, lambda: node.add(service("notes")))
        assert await Convergence(node, 60).serving("notes", manifest()) == READY
    assert anyio.current_time() - begin == pytest.approx(3 + 2 * LASTS)


@pytest.mark.parametrize(
    ("deadline", "patience", "seconds"), [("10s", 60, 10 + NOTICE), ("100s", 60, 60), ("10s", 3, 3)]
)
async def test_deadlines(node: Told, deadline: str, patience: float, seconds: float) -> None:
    node.wanted = manifest(update={"healthyDeadline": deadline})
    node.add(service("notes", ready=False, message="npm ci"))
    begin = anyio.current_time()
    outcome = await Convergence(node, patience).serving("notes", node.wanted)
    assert outcome == Outcome(False, f"not within {seconds:g} s: Starting: npm ci")
    assert anyio.current_time() - begin == pytest.approx(seconds)


async def test_the_waits_of_one_call_end_together(node: Told) -> None:
    waits = Convergence(node, 20)
    begin = anyio.current_time()
    assert not (await waits.stopped("notes", manifest(stop={"gracePeriod": "1s"}))).converged
    assert not (await waits.gone("notes", manifest())).converged
    assert not (await waits.serving("notes", manifest(env={"A": "1"}))).converged
    assert anyio.current_time() - begin == pytest.approx(20)


async def test_what_nobody_noticed_is_told(node: Told) -> None:
    waits = Convergence(node, 60)
    unnoticed = f"not within {NOTICE:g} s: the node has not noticed the change"
    assert await waits.noticed("notes", manifest(env={"A": "1"})) == Outcome(False, unnoticed)
    for outcome in (await waits.serving("wiki", manifest()), await waits.gone("notes", manifest())):
        assert "the node has not noticed the change" in outcome.message


async def test_stopped_and_gone(node: Told) -> None:
    def forget() -> None:
        node.services.clear()
        node.wanted = None

    waits = Convergence(node, 60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later, 2, lambda: node.add(stopped(service("notes"))), node)
        tasks.start_soon(later, 5, forget, node)
        assert await waits.stopped("notes", manifest()) == Outcome(True, "notes is stopped")
        assert await waits.serving("notes", manifest()) == Outcome(True, "notes is stopped")
        assert await waits.gone("notes", manifest()) == Outcome(True, "notes is gone")
        assert await waits.stopped("notes", manifest()) == Outcome(True, "notes is stopped")


async def test_a_restart_is_over_when_the_old_ones_are_gone(node: Told) -> None:
    fresh = service("notes")
    fresh["instances"][0]["instance"] = "new.1"
    both = fresh | {"instances": [*fresh["instances"], *service("notes")["instances"]]}
    begin = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later, 2, lambda: node.add(both), node)
        tasks.start_soon(later, 4, lambda: node.add(fresh), node)
        assert await Convergence(node, 60).serving("notes", manifest(), without={"notes.1"}) == READY
    assert anyio.current_time() - begin == pytest.approx(4 + LASTS)
    outcome = await Convergence(node, 1).serving("notes", manifest(), without={"new.1"})
    assert outcome.message == "not within 1 s: old instances have not ended"


async def test_nobody_reads_events_for_ever(node: Told) -> None:
    await Convergence(node, 60).serving("notes", manifest())
    await Convergence(node, 1).gone("notes", manifest())
    assert node.events._readers == []
