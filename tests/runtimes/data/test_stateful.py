"""What counts as kept: data, but neither caches nor logs nor what is temporary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.data.stateful import files_below, keeps
from runtimes.paths import Paths
from tests.runtimes.factories import service

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name",
    [
        "tmp/upload", ".cache/pip/a", "cache/page", "logs/app.log", "app.log", "app.log.1", "app.log.2.gz",
        "run/app.pid", "run/app.sock", ".npm/_cacache/x", "lib/__pycache__/a.pyc", ".DS_Store", "a/b.swp",
    ],
)  # fmt: skip
def test_what_is_made_again_is_no_data(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert list(files_below(tmp_path)) == []


@pytest.mark.parametrize("name", ["db.sqlite3", "a/b/c", "catalog", "temporal.db", "blog/post.md", "logs.db"])
def test_everything_else_is(tmp_path: Path, name: str) -> None:
    file = tmp_path / "data" / "app" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    paths = Paths(tmp_path, tmp_path / "run", 0)
    assert keeps(paths, service("app", command=["true"])) == f"it keeps files in data/app ({name})"
    assert keeps(paths, service("other", command=["true"])) == ""
