"""Files in Git LFS come along, or the fetch fails and says what is missing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from runtimes.base import RuntimeFailure
from runtimes.packages import git_remote
from tests.runtimes.packages.git_server import Repository, package, text, with_large_file

if TYPE_CHECKING:
    from pathlib import Path

    from runtimes.packages.git import Repositories

pytestmark = pytest.mark.anyio


async def test_large_files_come_along(origin: Repository, store: Repositories) -> None:
    with_large_file(origin, "large" * 1000)
    assert await store.update(package(origin))
    assert text(store, package(origin), "deep/x.big") == "large" * 1000


async def test_a_strangers_large_files_are_not_fetched(
    origin: Repository, store: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their server would choose the URLs that this machine asks."""
    monkeypatch.setattr(git_remote, "_PUBLIC_PROTOCOLS", "file")
    with_large_file(origin, "large")
    with pytest.raises(RuntimeFailure, match="git-lfs fetches those for this node's own manifests only"):
        await store.update(package(origin, own=False))
    assert store.find(package(origin, own=False)) is None


async def test_without_git_lfs_it_is_named(
    origin: Repository, store: Repositories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_large_file(origin, "large")
    (tmp_path / "bin").mkdir()
    for name in ("git", "sh", "ssh"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(RuntimeFailure, match=r"Git LFS, like deep/x\.big, and git-lfs is not") as caught:
        await store.update(package(origin))
    assert caught.value.hint == "install git-lfs (apt install git-lfs)"
    assert store.find(package(origin)) is None


async def test_a_large_file_that_the_server_lost_is_no_pointer_in_its_place(
    origin: Repository, store: Repositories
) -> None:
    with_large_file(origin, "large")
    shutil.rmtree(origin.path / "lfs")
    with pytest.raises(RuntimeFailure, match=r"Git LFS, like deep/x\.big"):
        await store.update(package(origin))
    assert store.find(package(origin)) is None
