"""The harness still works, with nothing but Python and a C compiler: no judgement on times."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

KINDS = ["call", "get"]


def test_the_benchmark_runs() -> None:
    results = _run("--only", "direct,atek", "--connections", "1,2")
    assert [(each["kind"], each["connections"], each["name"]) for each in results["speed"]] == [
        (kind, count, name) for kind in KINDS for count in (1, 2) for name in ("backend alone", "atek")
    ]
    assert all(each["rate"] > 0 and 0 < each["p50"] <= each["p99"] for each in results["speed"])
    assert [(each["name"], each["connections"]) for each in results["idle"]] == [("atek", 500)]
    assert len(results["bodies"]) == 5 and all(each["rate"] > 0 for each in results["bodies"])
    assert results["churn"]["changes"] > 0 and results["churn"]["churning"] > 0
    assert [each["ratio"] is not None for each in results["log"]] == [True] * 4


def _run(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.router", "--plain", "--quick", "--seconds", "0.3", "--json"]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def test_what_a_person_costs_is_measured() -> None:
    command = [sys.executable, "-m", "tests.bench.router.signed_in", "--plain", "--json"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--seconds", "0.3", "--connections", "2"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [*found] == KINDS and all(each["person"] > 0 and each["ratio"] > 0 for each in found.values())
