"""A repository to commit to, and what a node has of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from manifests.model.git_source import GitSource
from reconciler.gitops.repository import Repositories
from reconciler.gitops.repository import Repository as Mirror
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Open = "Callable[..., Mirror]"


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "work")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "state").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def opened(home: Path, origin: Repository) -> Callable[..., Mirror]:
    """Opens a source's repository, in a node's new life each time."""

    def open_it(url: str = "", **values: Any) -> Mirror:
        source = GitSource.model_validate({"name": "it", "url": url or str(origin.path), **values})
        return Repositories(home, home / "state" / "git").open(source)

    return open_it
