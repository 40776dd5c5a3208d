"""A repository of the tests, and the repositories of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.packages.git import Repositories
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "origin")


@pytest.fixture
def store(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path / "store")
