"""A service of which there may never be two, under load: it is replaced many times, and nobody notices."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.e2e.load import API
from tests.e2e.test_rolling import ECHO, REVISIONS, load_of

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

#: Ends at once where another one has the same data, as a database does that finds a lock.
ALONE = f"""
import fcntl, os, runpy
lock = os.open(os.path.join(os.environ["ATEK_DATA_DIR"], "lock"), os.O_CREAT | os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
runpy.run_path({ECHO!r}, run_name="__main__")
"""


def declare(bench: Bench, value: str, **more: Any) -> None:
    bench.declare(
        "echo", sys.executable, "-c", ALONE, env={"VALUE": value, "TAKES": "0.01"}, probes={},
        exports=[{"api": API, "path": "/"}], update={"strategy": "recreate"}, **more,
    )  # fmt: skip


def test_fifty_revisions_of_which_there_is_only_ever_one(bench: Bench) -> None:
    declare(bench, "r0")
    bench.up()
    bench.until(lambda: bench.ready("echo"), "ready")
    with load_of(bench).running(pages=8, calls=8) as load:
        for number in range(1, REVISIONS + 1):
            value = f"r{number}"
            declare(bench, value)
            bench.until(partial(load.has_seen, value, 16), f"{value} serves")
    assert load.failures == []
    assert set(load.seen) == {f"r{number}" for number in range(REVISIONS + 1)}
    # Two at a time would have been a crash of one.
    assert [each["restarts"] for each in bench.service("echo")["instances"]] == [0]


def test_a_revision_that_never_gets_ready_costs_nobody_an_answer(bench: Bench) -> None:
    """What served before comes back for it, while requests wait."""
    declare(bench, "r0")
    bench.up()
    bench.until(lambda: bench.ready("echo"), "ready")
    with load_of(bench).running(pages=4, calls=4) as load:
        bench.until(partial(load.has_seen, "r0", 16), "r0 serves")
        bench.declare(
            "echo", sys.executable, "-c", "import time; time.sleep(1000)",
            exports=[{"api": API, "path": "/"}], probes={},
            update={"strategy": "recreate", "healthyDeadline": "2s"},
        )  # fmt: skip
        bench.until(lambda: bench.condition("echo", "Stalled")[0] == "True", "rejected")
        before = load.seen["r0"]
        bench.until(partial(load.has_seen, "r0", before + 16), "r0 serves again")
    assert load.failures == []
    assert set(load.seen) == {"r0"}
