"""What tests of what programs write have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtimes.data.copies import Packages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    folder = tmp_path / "packages" / "app"
    folder.mkdir(parents=True)
    return Packages(folder, tmp_path / "kept" / "app")
