"""The benchmark measures what it says, on a small scale."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.bench.afar.__main__ import main

if TYPE_CHECKING:
    import pytest


def test_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["0.2", "1"]) == 0
    rows = re.findall(
        r"^\| (.*) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", capsys.readouterr().out, re.MULTILINE
    )
    assert len(rows) == 3
    assert all(float(number) > 0 for _, *numbers in rows for number in numbers)
