"""Builds that ask git find the tags and the history of what they build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.model.git import GitPackage
from runtimes.packages.store import PackageStore
from tests.runtimes.factories import make_paths, service
from tests.runtimes.packages.git_server import Repository, package, with_large_file

if TYPE_CHECKING:
    from pathlib import Path

    from runtimes.packages.git import Repositories

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("large", [False, True])
async def test_a_build_that_asks_git_for_its_version_gets_an_answer(
    origin: Repository, store: Repositories, tmp_path: Path, large: bool
) -> None:
    origin.commit(
        {"pyproject.toml": 'requires = ["setuptools-scm"]', "a": "1", ".vscode/x": "1"}, tag="v1.2.0"
    )
    origin.commit({"a": "2"})
    if large:
        with_large_file(origin, "large")
    head = origin.commit({"a": "3"})
    wanted = package(origin)
    assert await store.update(wanted)
    of = service("app", package=store.find(wanted) or "")
    seen: list[str] = []

    async def build(copy: Path) -> dict[str, str]:
        for words in (["describe", "--tags", "--long", "--dirty"], ["rev-parse", "--show-toplevel"]):
            seen.append((await anyio.run_process(["git", *words], cwd=copy)).stdout.decode().strip())
        seen.append(str(copy))
        return {}

    (tmp_path / "home").mkdir()
    paths = make_paths(tmp_path / "home")
    await PackageStore(paths).make_copy(of, print, build)
    assert seen[0] == f"v1.2.0-{3 if large else 2}-g{head[:7]}" and seen[1] == seen[2]
    # The program has nothing of it.
    assert not (PackageStore(paths).copy(of) / ".git").exists()
    await store.collect([], [])
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").iterdir())


async def test_a_release_with_a_build_that_asks_git_has_its_own_tag(
    origin: Repository, store: Repositories
) -> None:
    commit = origin.commit({"setup.py": "setup(use_scm_version=True)"}, tag="v3.1.0")
    origin.commit({"a": "1"})
    wanted = GitPackage(str(origin.path), commit, tag="v3.1.0")
    await store.update(wanted)
    described = await anyio.run_process(["git", "describe", "--tags"], cwd=store.find(wanted))
    assert described.stdout.decode().strip() == "v3.1.0"
