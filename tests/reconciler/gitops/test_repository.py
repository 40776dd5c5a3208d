"""A repository of this machine: looked at, mirrored, laid out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from manifests.model.git_source import Ref
from reconciler.gitops.troubles import GitTrouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.gitops.repository import Repository as Mirror
    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


async def laid_out(mirror: Mirror, path: str = "", ref: Ref | None = None) -> dict[str, str]:
    seen = await mirror.look(ref or mirror.source.ref)
    await mirror.fetch(seen, path)
    return files(await mirror.checkout(seen.commit, path))


async def trouble(mirror: Mirror) -> GitTrouble:
    with pytest.raises(GitTrouble) as caught:
        await laid_out(mirror, mirror.source.path)
    return caught.value


async def test_a_commit_becomes_files(origin: Repository, opened: Callable[..., Mirror]) -> None:
    commit = origin.commit({"a.yaml": "id: a\n", "apps/b/b.yaml": "id: b\n"})
    mirror = opened()
    seen = await mirror.look(Ref())
    assert (seen.commit, seen.ref) == (commit, "refs/heads/main")
    found = await mirror.fetch(seen)
    assert (found.id, found.author, found.subject) == (commit, "a <a@example.com>", "more")
    assert found.time == float(origin.git("log", "-1", "--format=%ct"))
    assert files(await mirror.checkout(commit)) == {"a.yaml": "id: a\n", "apps/b/b.yaml": "id: b\n"}


async def test_commits_after_it(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.commit({"a.yaml": "1", "b/c": "1"})
    mirror = opened()
    assert await laid_out(mirror) == {"a.yaml": "1", "b/c": "1"}
    origin.commit({"a.yaml": None, "d": "2"})
    assert await laid_out(mirror) == {"b/c": "1", "d": "2"}
    assert await laid_out(opened()) == {"b/c": "1", "d": "2"}


async def test_a_folder_is_fetched_without_the_files_of_others(
    origin: Repository, opened: Callable[..., Mirror]
) -> None:
    origin.git("--git-dir", str(origin.path), "config", "uploadpack.allowFilter", "true")
    for text in ("one", "two"):
        origin.commit({"mine/a.yaml": text, "mine/deep/b": text, "other/big": text * 100_000})
        mirror = opened()
        assert await laid_out(mirror, "mine") == {"a.yaml": text, "deep/b": text}
    size = sum(path.stat().st_size for path in mirror.mirror.rglob("*.pack"))
    told = origin.git("--git-dir", str(mirror.mirror), "rev-list", "--objects", "--all", "--missing=print")
    assert origin.git("rev-parse", "HEAD:other/big") in [line[1:] for line in told.split() if line[0] == "?"]
    assert size < 5000


async def test_a_path_that_is_not_there(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.commit({"a": "1", "b/c": "1"})
    mirror = opened()
    seen = await mirror.look(Ref())
    for path in ("nowhere", "a", "b/c", "b/d/e"):
        with pytest.raises(GitTrouble) as caught:
            await mirror.fetch(seen, path)
        assert caught.value.reason == "PathMissing" and path in caught.value.message


async def test_a_checkout_is_not_written_to(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.commit({"a": "1", "b/c": "1"})
    mirror = opened()
    seen = await mirror.look(Ref())
    await mirror.fetch(seen)
    folder = await mirror.checkout(seen.commit)
    modes = {os.stat(path).st_mode & 0o222 for path in (folder, *folder.rglob("*"))}
    assert modes == {0}


async def test_what_nobody_needs_is_forgotten(origin: Repository, opened: Callable[..., Mirror]) -> None:
    first = origin.commit({"a": "1"})
    mirror = opened()
    await laid_out(mirror)
    second = origin.commit({"a": "2"})
    await laid_out(mirror)
    await mirror.forget({second})
    assert (await mirror.checkout(second)).is_dir()
    assert not [path for path in mirror.mirror.parent.rglob("*") if path.name.startswith(first)]


@pytest.mark.parametrize("path", ["", "b"])
async def test_a_mirror_does_not_grow_for_ever(
    origin: Repository, opened: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    origin.git("--git-dir", str(origin.path), "config", "uploadpack.allowFilter", "true")
    monkeypatch.setattr("reconciler.gitops.mirror._PACKS", 3)
    monkeypatch.setattr("reconciler.gitops.mirror._LOOSE", 3)
    mirror = opened()
    for index in range(6):
        commit = origin.commit({"a": str(index), "b/c": os.urandom(10_000).hex()})
        assert await laid_out(mirror, path)
        await mirror.forget({commit})
    found = [each for each in mirror.mirror.glob("objects/*/*") if each.suffix != ".idx"]
    assert len(found) < 15
    assert (await laid_out(opened(), path)).keys() == ({"c"} if path else {"a", "b/c"})
    if not path:
        assert sum(each.stat().st_size for each in found) < 50_000


async def test_a_branch_that_is_new_is_had_at_once(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.commit({"a.yaml": "1", "b/c": "1"})
    mirror = opened()
    assert await mirror.fetch_now(Ref(branch="main")) is None
    first = await mirror.look(Ref())
    await mirror.fetch(first)
    second = origin.commit({"a.yaml": "2", "b/c": "2"})
    seen = await mirror.fetch_now(Ref(branch="main"))
    assert seen == await mirror.look(Ref(branch="main"))
    assert seen is not None and seen.commit == second
    # It is here: no server is needed any more.
    origin.path.rename(origin.path.with_name("away"))
    assert (await mirror.fetch(seen)).id == second
    assert files(await mirror.checkout(second)) == {"a.yaml": "2", "b/c": "2"}
    origin.path.with_name("away").rename(origin.path)
    third = origin.commit({"a.yaml": "3", "b/c": "3"})
    by_default = await mirror.fetch_now(Ref(), "b")
    assert by_default is not None and (by_default.commit, by_default.ref) == (third, "refs/heads/main")
    await mirror.fetch(by_default, "b")
    assert files(await mirror.checkout(third, "b")) == {"c": "3"}
    # The same again, and what is to be asked step by step.
    assert await mirror.fetch_now(Ref(branch="main")) == by_default
    assert await mirror.fetch_now(Ref(branch="nothing")) is None
    assert await mirror.fetch_now(Ref(semver="^1")) is None
    assert [path.name for path in (mirror.mirror / "refs" / "atek").iterdir() if path.name == "tip"] == []
