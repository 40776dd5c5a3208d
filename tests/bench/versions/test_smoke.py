"""The harness still works, with this version on both sides: no judgement on times."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.bench.versions.__main__ import compared
from tests.bench.versions.earlier import now


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ("python,crash,memory", ["Python: edit prepared", "crash", "memory"]),
        ("calls", ["calls/s", "p99"]),
        ("push", ["push of one changed file"]),
    ],
)
def test_the_benchmark_runs(parts: str, lines: list[str]) -> None:
    results = _run("--parts", parts, "--edits", "1", "--crashes", "2", "--rounds", "1", "--seconds", "0.3")
    assert all(any(line in each["what"] for each in results) for line in lines)
    assert all(each["before"] > 0 and each["now"] > 0 and each["ratio"] > 0 for each in results)


def test_ratios_are_those_of_neighbours() -> None:
    """The machine became ten times as slow in the middle: both versions did."""
    line = compared("x", "s", [1.0, 1.0, 10.0, 10.0, 10.0], [1.1, 1.1, 11.0, 11.0, 11.0], "<= 1.2")
    assert line.ratio == pytest.approx(1.1)


def _run(*words: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.bench.versions", "--quick", "--before", now().atek, "--json"]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results
