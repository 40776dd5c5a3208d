"""The benchmark measures what it says, on a small scale, at the level that it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.sandbox.__main__ import main
from tests.bench.sandbox.levels import LEVELS, beside

if TYPE_CHECKING:
    import pytest


def test_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--starts", "2", "--crashes", "1", "--requests", "5", "--json"]) == 0
    results = {result["what"]: result["value"] for result in json.loads(capsys.readouterr().out)}
    for what in (
        "start → first instruction", "start → first line of a Python", "SIGKILL → started again",
        "request → answer",
    ):  # fmt: skip
        assert all(results[f"{what}, {level}"] > 0 for level in LEVELS)
    assert all(results[f"memory around a program, {level}"] > 0 for level in LEVELS[1:])


def test_what_a_sandbox_takes_is_told_beside_none() -> None:
    taken = {"none": [0.001, 0.002, 0.009], "private": [0.004, 0.005, 0.006], "strict": [0.01, 0.011, 0.5]}
    *levels, private, strict = beside("start", taken, {"none": "5 ms"}, {"strict": "10 ms"})
    assert [each.what for each in levels] == ["start, none", "start, private", "start, strict"]
    assert [each.wanted for each in levels] == ["5 ms", "—", "—"]
    assert (private.measured, private.wanted) == ("3.0 ms", "—")
    assert (strict.measured, strict.wanted) == ("9.0 ms", "10 ms")
