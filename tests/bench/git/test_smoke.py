"""The benchmark measures what it says, on a small scale."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.git.__main__ import main

if TYPE_CHECKING:
    import pytest


def test_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--pushes", "1", "--services", "20", "--rounds", "1", "--polls", "2", "--json"]
    assert main(small) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["what"] for result in results] == [
        "push, and its hook → first new instance started",
        "git fetch of that commit alone",
        "… what ours takes beside it, by the median",
        "push, and its hook → first new instance started, by git daemon",
        "git fetch of that commit alone, by git daemon",
        "… what ours takes beside it, by the median",
        "20 manifests in one commit → 20 services ready",
        "one of 20 is edited → ready",
        "a poll that finds nothing: our CPU",
        "… gits for it",
        "a poll of ten sources of one server: our CPU",
        "… gits for it",
    ]
    assert all(result["value"] > 0 for result in results if "beside" not in result["what"])
