"""A service on a swarm of three machines: placed, routed, updated, adopted, and what a pulled cable does."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.netns import Switch, unavailable
from tests.e2e.swarms import LABEL, NAMES, Swarm, SwarmBench
from tests.runtimes.docker.engines import any_engine, own_engine, without_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(bool(unavailable()) and "CI" not in os.environ, reason=unavailable()),
    pytest.mark.xdist_group("docker"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    any_engine()
    if isinstance(why := own_engine(), str):
        without_engine(why)
    with Switch() as switch:
        made = Swarm(switch)
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture
def bench(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> Iterator[SwarmBench]:
    made = SwarmBench(swarm)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{swarm.engines['one'].socket}")
    yield made
    for service in swarm.services():
        swarm.call("one", "DELETE", f"/services/{service}")
    made.close()


def test_tasks_are_placed_routed_updated_and_adopted(bench: SwarmBench, swarm: Swarm) -> None:
    bench.serve("one")
    bench.up()
    bench.until(lambda: bench.ready("web"), "all tasks run")
    assert sorted(bench.tasks().values()) == sorted(NAMES)
    assert bench.answer() == "one"
    bench.until(lambda: "serves one" in bench.atek("logs", "web").stdout, "their output is logged")

    (before,) = swarm.services()
    bench.serve("two")
    bench.until(lambda: bench.answer() == "two", "the new revision serves")
    bench.until(lambda: len(swarm.services()) == 1, "the old one is gone")
    bench.until(lambda: set(swarm.running().values()) == {1}, "and so are its containers")
    (after,) = swarm.services()
    assert after != before

    bench.kill()
    tasks = swarm.running()
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready again")
    assert swarm.services() == [after] and swarm.running() == tasks
    assert bench.answer() == "two"

    (bench.folder / "web.json").unlink()
    bench.until(lambda: not swarm.networks(), "nothing is left of it")
    assert swarm.services() == [] and bench.stop() == 0


def test_nodes_choose_machines_by_name_or_label(bench: SwarmBench) -> None:
    bench.serve("one", nodes=[{"label": LABEL}], replicas=2)
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    assert list(bench.tasks().values()) == ["two", "two"]
    bench.serve("one", nodes=["three"], replicas=1)
    bench.until(lambda: list(bench.tasks().values()) == ["three"], "it moves")
    bench.serve("one", nodes=["nowhere"], replicas=1, update={"healthyDeadline": "2s"})
    bench.until(lambda: bench.condition("web", "Stalled")[0] == "True", "no machine will do")
    assert bench.answer() == "one"


def test_a_task_that_is_killed_is_replaced_by_the_swarm_and_told(bench: SwarmBench, swarm: Swarm) -> None:
    bench.serve("one")
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    before = bench.tasks()
    (container,) = swarm.containers("two")
    os.kill(swarm.call("two", "GET", f"/containers/{container}/json")["State"]["Pid"], signal.SIGKILL)
    bench.until(
        lambda: len(bench.tasks()) == len(NAMES) and bench.tasks().keys() != before.keys(), "it is replaced"
    )
    assert len(bench.tasks().keys() & before.keys()) == len(NAMES) - 1
    assert "TaskLost" in bench.atek("events").stdout
    assert len(swarm.services()) == 1


def test_what_a_pulled_cable_takes_away_runs_elsewhere_and_nothing_twice(
    bench: SwarmBench, swarm: Swarm
) -> None:
    bench.serve("one")
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    swarm.switch.cut("three")
    bench.until(lambda: "TaskLost" in bench.atek("events").stdout, "it is told")
    bench.until(lambda: len(bench.tasks()) == len(NAMES), "its task runs elsewhere")
    assert "three" not in bench.tasks().values()
    assert bench.answer() == "one"
    assert swarm.containers("three"), "who is cut off goes on meanwhile"
    swarm.switch.heal("three")
    bench.until(lambda: sum(swarm.running().values()) == len(NAMES), "nothing runs twice")
    assert swarm.containers("three") == []
    assert bench.ready("web") and len(swarm.services()) == 1


def test_an_engine_that_is_no_manager_is_one_condition_with_a_hint(
    swarm: Swarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{swarm.engines['two'].socket}")
    bench = SwarmBench(swarm, "two")
    try:
        bench.serve("one")
        bench.declare("plain", "sleep", "1000")
        bench.up()
        bench.until(lambda: bench.condition("web")[1] == "RuntimeUnavailable", "it is told")
        assert "docker swarm init" in bench.condition("web")[2]
        bench.until(lambda: bench.ready("plain"), "everything else goes on")
    finally:
        bench.close()
