"""kill -9 of the node after each kind of action, and at random moments: the next life has to find every
program of the last one, start none twice, and leave none behind.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

#: A node that dies by SIGKILL right after the n-th action of one kind.
DYING = """
import os, signal, sys
from reconciler.drive import effects
kind, count = sys.argv[1], int(sys.argv[2])
sys.argv[1:3] = []
carry_out = effects.Effects.carry_out
async def and_die(self, controller, action, tasks):
    global count
    await carry_out(self, controller, action, tasks)
    if type(action).__name__ == kind:
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
effects.Effects.carry_out = and_die
from reconciler.cli import main
sys.exit(main())
"""


def no_second_copy_and_no_orphan(bench: Bench, wanted: dict[str, int]) -> None:
    """Exactly the wanted number of instances, each one process, and nothing else with this home's mark."""

    def as_wanted() -> bool:
        services = bench.status()["services"]
        running = {each["id"]: len(each["instances"]) for each in services if each["instances"]}
        return running == wanted and bench.ready(*wanted) and len(bench.processes()) == sum(wanted.values())

    bench.until(as_wanted, f"converged to {wanted}")
    told = {i["pid"] for each in bench.status()["services"] for i in each["instances"]}
    assert told == set(bench.processes())
    assert max(Counter(bench.processes().values()).values(), default=1) == 1


def declare_three(bench: Bench, value: str) -> None:
    for service_id in ("a", "b"):
        bench.declare(service_id, env={"VALUE": value})
    package = bench.root / "package"
    package.mkdir(exist_ok=True)
    (package / "main.py").write_text(f"import time\nvalue = {value!r}\ntime.sleep(1000)\n")
    document = {"source": str(package), "probes": {"readiness": "none"}, "replicas": 2, "id": "c"}
    import json

    bench.write("c.json", json.dumps(document))


@pytest.mark.parametrize(
    ("kind", "count"),
    [("Start", 1), ("Start", 2), ("Start", 4), ("Prepare", 1)],
)
def test_killed_during_the_first_convergence(bench: Bench, kind: str, count: int) -> None:
    declare_three(bench, "1")
    bench.up(program=[sys.executable, "-c", DYING, kind, str(count)], wait=False)
    assert bench.node and bench.node.wait(40) == -9
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})


@pytest.mark.parametrize(
    ("kind", "count"),
    [("Start", 1), ("Start", 3), ("Stop", 1), ("Stop", 3), ("Prepare", 1)],
)
def test_killed_during_an_update(bench: Bench, kind: str, count: int) -> None:
    declare_three(bench, "1")
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})
    before = set(bench.processes())
    bench.kill()
    assert set(bench.processes()) == before
    declare_three(bench, "2")
    bench.up(program=[sys.executable, "-c", DYING, kind, str(count)], wait=False)
    assert bench.node and bench.node.wait(40) == -9
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})
    assert not before & set(bench.processes())


def test_killed_while_it_stops_everything(bench: Bench) -> None:
    declare_three(bench, "1")
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})
    bench.kill()
    bench.up(program=[sys.executable, "-c", DYING, "Stop", "2"])
    assert bench.stop() == -9
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})


def test_killed_again_and_again_at_random_moments(bench: Bench) -> None:
    chance = random.Random(7)
    declare_three(bench, "0")
    for round in range(1, 7):
        bench.up(wait=False)
        time.sleep(chance.uniform(0.2, 0.8))
        declare_three(bench, str(round))
        time.sleep(chance.uniform(0, 0.1))
        bench.kill()
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})


def test_an_undisturbed_next_life_changes_nothing(bench: Bench) -> None:
    declare_three(bench, "1")
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})
    before = bench.processes()
    bench.kill()
    bench.up()
    no_second_copy_and_no_orphan(bench, {"a": 1, "b": 1, "c": 2})
    assert bench.processes() == before
