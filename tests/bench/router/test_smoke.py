"""The harness still works, with nothing but Python: no judgement on times."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_benchmark_runs() -> None:
    words = [
        "--only",
        "direct",
        "--plain",
        "--connections",
        "1,2",
        "--rounds",
        "1",
        "--seconds",
        "0.2",
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.router", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    speeds = json.loads(done.stdout)["speed"]
    assert [(each["kind"], each["connections"]) for each in speeds] == [
        ("call", 1), ("call", 2), ("get", 1), ("get", 2)
    ]  # fmt: skip
    assert all(each["rate"] > 0 and 0 < each["p50"] <= each["p99"] for each in speeds)
