"""What a commit has from elsewhere: submodules, where they are wanted, and files in Git LFS."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.git_source import GitSource
from reconciler.gitops.repository import Repositories
from reconciler.gitops.submodules import source_of
from reconciler.gitops.troubles import GitTrouble
from tests.reconciler.gitops.servers import http_server
from tests.reconciler.gitops.test_repository import files, laid_out
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.gitops.repository import Repository as Mirror

pytestmark = pytest.mark.anyio


def add_submodule(origin: Repository, url: str, path: str) -> None:
    origin.git("submodule", "--quiet", "add", url, path)
    origin.commit({})


@pytest.fixture
def inner(tmp_path: Path) -> Repository:
    inner = Repository(tmp_path / "inner")
    inner.commit({"x": "inner"})
    return inner


async def test_submodules_are_empty_unless_they_are_wanted(
    origin: Repository, inner: Repository, opened: Callable[..., Mirror]
) -> None:
    origin.commit({"a": "1"})
    add_submodule(origin, str(inner.path), "apps/mod")
    inner.commit({"x": "newer"})
    text = origin.git("show", "HEAD:.gitmodules") + "\n"
    assert await laid_out(opened()) == {"a": "1", ".gitmodules": text}
    assert await laid_out(opened(submodules=True)) == {"a": "1", ".gitmodules": text, "apps/mod/x": "inner"}
    assert await laid_out(opened(submodules=True), "apps") == {"mod/x": "inner"}


@pytest.mark.parametrize("url", ["../inner.git", "./../inner.git"])
async def test_submodules_that_are_beside_it_and_have_some_themselves(
    origin: Repository, inner: Repository, opened: Callable[..., Mirror], tmp_path: Path, url: str
) -> None:
    innermost = Repository(tmp_path / "innermost")
    innermost.commit({"y": "innermost"})
    add_submodule(inner, str(innermost.path), "deep")
    inner.git("config", "--file", ".gitmodules", "submodule.deep.url", "../innermost.git")
    inner.commit({})
    origin.commit({"a": "1"})
    add_submodule(origin, str(inner.path), "mod")
    origin.git("config", "--file", ".gitmodules", "submodule.mod.url", url)
    origin.commit({})
    with http_server(origin.path.parent) as server:
        found = await laid_out(opened(f"{server.url}/work.git", submodules=True))
    assert {name: text for name, text in found.items() if not name.endswith(".gitmodules")} == {
        "a": "1", "mod/x": "inner", "mod/deep/y": "innermost",
    }  # fmt: skip


async def test_submodules_of_this_machine(
    origin: Repository, inner: Repository, opened: Callable[..., Mirror]
) -> None:
    origin.commit({"a": "1"})
    add_submodule(origin, str(inner.path), "mod")
    with http_server(origin.path.parent) as server:
        mirror = opened(f"{server.url}/work.git", submodules=True)
        with pytest.raises(GitTrouble) as caught:
            await laid_out(mirror)
    assert caught.value.reason == "SubmoduleRefused" and "this machine" in caught.value.message
    assert not list(mirror.mirror.parent.glob(f"{mirror.source.mirror}/*"))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("../b.git", True), ("https://git.example.com/b", True), ("https://other.example.com/b", False),
        ("https://git.example.com:444/b", False),
    ],
)  # fmt: skip
def test_credentials_are_for_the_sources_own_server(url: str, kept: bool) -> None:
    source = GitSource.model_validate(
        {
            "name": "it",
            "url": "https://git.example.com/a.git",
            "credentials": {"tokenFile": "t"},
            "caFile": "ca",
        }
    )
    found = source_of(source, url, "ab" * 20)
    assert (found.credentials is not None, found.ca_file is not None) == (kept, kept)


@pytest.mark.parametrize(
    "url", ["ext::sh -c id", "-u", "/srv/a", "file:///srv/a", "http://h/a", "git://h/a", "https://u:p@h/a"]
)
def test_submodules_that_a_foreign_repository_does_not_have(url: str) -> None:
    values = {"name": "it", "url": "https://git.example.com/a.git", "trust": "foreign"}
    with pytest.raises(GitTrouble) as caught:
        source_of(GitSource.model_validate(values), url, "ab" * 20)
    assert caught.value.reason == "SubmoduleRefused"


@pytest.mark.parametrize("trust", ["foreign", "own"])
async def test_submodules_of_a_foreign_repository_come_from_the_public_network(
    origin: Repository, opened: Callable[..., Mirror], trust: str
) -> None:
    """Its author would choose what on the way to others this node asks."""
    origin.commit({"a": "1"})
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"https://127.0.0.1:{server.getsockname()[1]}/a.git"
        origin.commit({".gitmodules": f'[submodule "mod"]\n\tpath = mod\n\turl = {url}\n'})
        origin.git("update-index", "--add", "--cacheinfo", f"160000,{'ab' * 20},mod")
        origin.git("commit", "--quiet", "--message=mod")
        origin.git("push", "--quiet", "origin", "HEAD")
        found: list[GitTrouble] = []
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_reached, server, tasks.cancel_scope)
                try:
                    await laid_out(opened(submodules=True, trust=trust))
                except GitTrouble as trouble:
                    found.append(trouble)
                    tasks.cancel_scope.cancel()
        # The owner's own is asked, as he wrote it.
        assert [each.reason for each in found] == (["NotPublic"] if trust == "foreign" else [])


async def _reached(server: socket.socket, scope: anyio.CancelScope) -> None:
    while True:
        await anyio.sleep(0.02)
        with suppress(BlockingIOError):
            server.accept()[0].close()
            scope.cancel()


def test_a_strangers_mirror_is_not_the_owners() -> None:
    """What was fetched with the owner's rights is not laid out for who only knows its name."""
    values = {"name": "it", "url": "https://git.example.com/a.git"}
    foreign = GitSource.model_validate({**values, "trust": "foreign"})
    there = source_of(foreign, "https://nas.example.com/b.git", "ab" * 20)
    assert there.public_only and there.mirror != GitSource.model_validate({**values, "url": there.url}).mirror
    assert source_of(there, "../c.git", "ab" * 20).public_only
    assert not source_of(foreign, "../b.git", "ab" * 20).public_only
    assert not source_of(GitSource.model_validate(values), "https://nas.example.com/b", "ab" * 20).public_only


# -- Git LFS


def add_large(origin: Repository, text: str) -> None:
    origin.git("lfs", "install", "--local")
    origin.git("config", "lfs.locksverify", "false")
    origin.git("lfs", "track", "*.bin")
    origin.commit({"large.bin": text, "a": "1"})


async def test_large_files(origin: Repository, opened: Callable[..., Mirror], tmp_path: Path) -> None:
    add_large(origin, "large" * 1000)
    assert (await laid_out(opened(f"file://{origin.path}")))["large.bin"] == "large" * 1000
    await opened(f"file://{origin.path}").forget(set())
    for values in ({"trust": "foreign"}, {"limits": {"bytes": 4000}}):
        with pytest.raises(GitTrouble) as caught:
            await laid_out(opened(f"file://{origin.path}", **values))
        assert caught.value.reason in {"LargeFilesMissing", "RepositoryTooLarge"}
        assert "large.bin" in caught.value.message


async def test_large_files_without_git_lfs(
    origin: Repository, opened: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add_large(origin, "large")
    git = origin.git("--exec-path")
    (tmp_path / "bin").mkdir()
    for name in ("git", "sh"):
        (tmp_path / "bin" / name).symlink_to(f"{git}/git" if name == "git" else "/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    mirror = opened(f"file://{origin.path}")
    with pytest.raises(GitTrouble) as caught:
        await laid_out(mirror)
    assert caught.value.reason == "LargeFilesMissing" and "install git-lfs" in caught.value.hint
    assert not list(mirror.mirror.parent.glob(f"{mirror.source.mirror}/*")), "nothing half made"


# -- what sources of one repository keep


async def test_a_source_forgets_nothing_of_another(origin: Repository, home: Path) -> None:
    first = origin.commit({"a": "1"}, tag="v1")
    second = origin.commit({"a": "2"})
    repositories = Repositories(home, home / "state" / "git")

    def source(name: str, **values: Any) -> Mirror:
        return repositories.open(GitSource.model_validate({"name": name, "url": str(origin.path), **values}))

    tagged, main = source("tagged", ref={"tag": "v1"}), source("main")
    assert await laid_out(tagged) == {"a": "1"} and await laid_out(main) == {"a": "2"}
    before = (await tagged.checkout(first)).stat().st_ino
    await main.forget({second})
    assert (await tagged.checkout(first)).stat().st_ino == before, "the same folder, and not another"
    origin.path.rename(origin.path.with_name("away"))
    assert files(await tagged.checkout(first)) == {"a": "1"}
    await tagged.forget(set())
    assert files(await main.checkout(second)) == {"a": "2"}
    with pytest.raises(GitTrouble):
        await tagged.fetch(await tagged.look(tagged.source.ref, max_age=1000))
