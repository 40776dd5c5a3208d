"""The benchmark measures what it says, on a small scale."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.hyper.__main__ import main

if TYPE_CHECKING:
    import pytest


def test_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["--parts", "write,follow", "--puts", "8", "--records", "700", "--rounds", "1", "--json"]) == 0
    )
    results = json.loads(capsys.readouterr().out)
    assert [result["what"] for result in results] == [
        "put, synced to the disk and acknowledged in Python",
        "put → change seen in Python",
        "put → change seen in Python at a follower",
        "cold copy of 700 records",
        "cold copy of 700 records, and all of them read",
    ]
    assert all(result["value"] > 0 for result in results)
