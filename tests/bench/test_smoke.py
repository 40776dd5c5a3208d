"""The harness still works: a few services, no judgement on times."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("only", ["spawn", "atek"])
def test_the_benchmark_runs(only: str) -> None:
    words = ["--only", only, "--services", "3", "--rounds", "1", "--idle", "0.5", "--many", "0", "--json"]
    done = subprocess.run([sys.executable, "-m", "tests.bench", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["boot"] > 0 and result["crash"] > 0 and result["memory"] > 0
    assert (result["edit"] is None) == (only == "spawn")
