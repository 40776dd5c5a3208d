"""The harness still works, with nothing but Python: no judgement on times."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_benchmark_runs() -> None:
    command = [sys.executable, "-m", "tests.bench.adb", "--plain", "--seconds", "0.2", "--connections", "1,2"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [(each["name"], each["connections"]) for each in results["speed"]] == [
        (name, count) for name in ("recordPut", "recordGet", "recordList 500") for count in (1, 2)
    ]
    assert all(each["rate"] > 0 and 0 < each["p50"] <= each["p99"] for each in results["speed"])
    assert results["memory"]["core.adb"] > 0
