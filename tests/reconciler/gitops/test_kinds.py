"""Git's own protocol, and kinds of repositories: old, shallow, empty, of others, with another hash."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.model.git_source import GitSource, Ref
from reconciler.gitops.repository import Repositories
from reconciler.gitops.troubles import GitTrouble
from tests.reconciler.gitops.servers import (
    git_daemon,
    http_server,
)
from tests.reconciler.gitops.test_repository import laid_out, trouble
from tests.runtimes.packages.git_server import Repository, web_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.gitops.repository import Repository as Mirror

pytestmark = pytest.mark.anyio


async def test_git_daemon(origin: Repository, opened: Callable[..., Mirror]) -> None:
    with git_daemon(origin.path.parent) as url:
        for text in ("1", "2"):
            origin.commit({"a": text})
            assert await laid_out(opened(f"{url}/work.git")) == {"a": text}
        assert (await trouble(opened(f"{url}/nowhere.git"))).reason == "RepositoryNotFound"


async def test_an_old_server(origin: Repository, opened: Callable[..., Mirror]) -> None:
    """The first protocol, no filters, no commits by their ids."""
    first = origin.commit({"a": "1", "b/c": "1"})
    origin.commit({"a": "2", "b/c": "2"})
    with http_server(origin.path.parent) as server:
        server.environment = {"GIT_PROTOCOL": ""}
        assert await laid_out(opened(f"{server.url}/work.git"), "b") == {"c": "2"}
        assert await laid_out(opened(f"{server.url}/work.git", ref=first), "b") == {"c": "1"}


async def test_a_commit_that_is_no_branch(origin: Repository, opened: Callable[..., Mirror]) -> None:
    first = origin.commit({"a": "1"})
    origin.commit({"a": "2"})
    assert await laid_out(opened(ref=first)) == {"a": "1"}
    assert (await trouble(opened(ref="ab" * 20))).reason == "CommitMissing"


async def test_a_shallow_origin(origin: Repository, opened: Callable[..., Mirror], tmp_path: Path) -> None:
    for text in ("1", "2", "3"):
        origin.commit({"a": text})
    shallow = tmp_path / "shallow.git"
    origin.git("clone", "--quiet", "--bare", "--depth=1", f"file://{origin.path}", str(shallow))
    with http_server(tmp_path) as server:
        assert await laid_out(opened(f"{server.url}/shallow.git")) == {"a": "3"}


@pytest.mark.parametrize("way", ["file", "http", "git", "dumb"])
async def test_sha256(opened: Callable[..., Mirror], origin: Repository, tmp_path: Path, way: str) -> None:
    for folder, bare in ((tmp_path / "tree", ()), (tmp_path / "new.git", ("--bare",))):
        origin.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main", *bare, str(folder))
    at = ("-C", str(tmp_path / "tree"))
    for text in ("1", "2"):
        (tmp_path / "tree" / "a").write_text(text)
        origin.git(*at, "add", "a")
        origin.git(*at, "commit", "--quiet", "--message=x")
        origin.git(*at, "push", "--quiet", str(tmp_path / "new.git"), "main")
        origin.git("--git-dir", str(tmp_path / "new.git"), "update-server-info")
        with http_server(tmp_path) as http, git_daemon(tmp_path) as git, web_server(tmp_path) as dumb:
            urls = {"file": str(tmp_path), "http": http.url, "git": git, "dumb": dumb}
            assert await laid_out(opened(f"{urls[way]}/new.git")) == {"a": text}


async def test_an_empty_repository(origin: Repository, opened: Callable[..., Mirror]) -> None:
    mirror = opened()
    assert (await trouble(mirror)).reason == "EmptyRepository"
    origin.commit({"a": "1"})
    assert await laid_out(mirror) == {"a": "1"}


async def test_no_repository(origin: Repository, opened: Callable[..., Mirror], tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for name in ("plain", "nowhere"):
        assert (await trouble(opened(str(tmp_path / name)))).reason == "RepositoryNotFound"


async def test_a_repository_of_another_user(
    origin: Repository, opened: Callable[..., Mirror], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    origin.commit({"a": "1"})
    os.chown(origin.path, 12345, 12345)
    assert (await trouble(opened())).reason == "RepositoryOwnedByOthers"
    os.chown(origin.path, 0, 0)
    assert await laid_out(opened()) == {"a": "1"}


async def test_a_default_branch_that_changes_and_a_branch_that_goes(
    origin: Repository, opened: Callable[..., Mirror]
) -> None:
    origin.commit({"a": "1"})
    default, named = opened(), opened(ref="main")
    assert await laid_out(default) == await laid_out(named) == {"a": "1"}
    origin.git("checkout", "--quiet", "-b", "trunk")
    origin.commit({"a": "2"})
    origin.git("--git-dir", str(origin.path), "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert await laid_out(default) == {"a": "2"}
    assert await laid_out(named) == {"a": "1"}
    origin.git("--git-dir", str(origin.path), "branch", "-D", "main")
    gone = await trouble(named)
    assert gone.reason == "RefMissing" and "trunk" in gone.hint


async def test_ten_sources_ask_once(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.commit({"a": "1"}, tag="v1.0.0")
    with http_server(origin.path.parent) as server:
        mirror = opened(f"{server.url}/work.git")
        found = []

        async def ask(ref: Ref, max_age: float) -> None:
            found.append((await mirror.look(ref, max_age=max_age)).commit)

        def asked() -> int:
            return sum("/info/refs" in each for each in server.asked)

        refs = [Ref(), Ref(branch="main"), Ref(semver="^1"), Ref(tag="v1.0.0")]
        async with anyio.create_task_group() as tasks:
            for index in range(10):
                tasks.start_soon(ask, refs[index % len(refs)], 10)
        assert asked() == 1 and set(found) == {origin.git("rev-parse", "HEAD")} and len(found) == 10
        # Who was told of a push is not content with an answer to an earlier question.
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask, Ref(), 0)
        assert asked() == 2
        server.answer = lambda path: (503, {})
        for age in (0, 10, 10, 10):
            with pytest.raises(GitTrouble):
                await mirror.look(Ref(), max_age=age)
        assert asked() == 3
        server.answer = lambda path: None
        assert await mirror.look(Ref())
        commit = origin.commit({"a": "2"})
        assert (await mirror.look(Ref(), max_age=600)).commit != commit
        assert (await mirror.look(Ref())).commit == commit


async def test_one_git_at_a_time_for_a_server(origin: Repository, home: Path, tmp_path: Path) -> None:
    origin.commit({"a": "1"})
    (tmp_path / "other.git").symlink_to(origin.path)
    repositories = Repositories(home, home / "state" / "git")
    running, most = [0], [0]
    lock = threading.Lock()

    with http_server(origin.path.parent) as server:

        def count(path: str) -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.05)
            with lock:
                running[0] -= 1

        server.before = count
        async with anyio.create_task_group() as tasks:
            for name in ("work", "other"):
                source = GitSource(name="it", url=f"{server.url}/{name}.git")
                tasks.start_soon(laid_out, repositories.open(source))
    assert most == [1]


async def test_a_tag_that_is_moved(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.commit({"a": "1"}, tag="v1")
    mirror = opened(ref={"tag": "v1"})
    before = await mirror.look(mirror.source.ref)
    assert await laid_out(mirror) == {"a": "1"}
    origin.commit({"a": "2"})
    origin.git("tag", "--force", "v1")
    origin.git("push", "--quiet", "--force", "origin", "v1")
    assert await laid_out(mirror) == {"a": "2"}
    moved = await mirror.lineage(await mirror.look(mirror.source.ref), before.commit)
    assert not moved.rewritten
    origin.git("tag", "--force", "v1", before.commit)
    origin.git("push", "--quiet", "--force", "origin", "v1")
    latest = origin.git("rev-parse", "HEAD")
    assert await laid_out(mirror) == {"a": "1"}
    assert (await mirror.lineage(await mirror.look(mirror.source.ref), latest)).rewritten
