"""A household over a home's files, whose clocks stand still and whose passwords cost nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reconciler.people.households import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)
