"""Packages from Git, with git itself and repositories of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from manifests.model.git import GitPackage
from runtimes.base import RuntimeFailure
from runtimes.packages.git import Repositories
from runtimes.packages.git_remote import FAILED
from tests.runtimes.factories import alive
from tests.runtimes.packages.git_server import Repository, package, text, web_server

pytestmark = pytest.mark.anyio


async def test_a_branch_is_followed(origin: Repository, store: Repositories, tmp_path: Path) -> None:
    origin.commit({"a": "1"})
    wanted = package(origin)
    assert store.find(wanted) is None
    assert await store.update(wanted)
    before = store.find(wanted)
    assert (text(store, wanted), await store.update(wanted)) == ("1", False)
    origin.commit({"a": "2"})
    assert await store.update(wanted)
    assert text(store, wanted) == "2"
    # What runs from the old one goes on.
    assert before is not None and (Path(before) / "a").read_text() == "1"
    assert not os.path.exists(os.path.join(before, ".git"))
    # A node that boots without a network knows what it had.
    assert text(Repositories(tmp_path / "store"), wanted) == "2"


async def test_tags_branches_commits_and_folders(origin: Repository, store: Repositories) -> None:
    first = origin.commit({"apps/b/a": "1"}, tag="v1")
    origin.commit({"apps/b/a": "2"})
    origin.git("checkout", "--quiet", "-b", "feature/x")
    origin.commit({"apps/b/a": "3"})
    for ref, content in (("v1", "1"), ("main", "2"), ("feature/x", "3")):
        wanted = package(origin, ref, "apps/b")
        assert await store.update(wanted)
        assert (text(store, wanted), await store.update(wanted)) == (content, False)
    # That of the tag is here already.
    assert text(store, package(origin, first, "apps/b")) == "1"


async def test_a_tag_wins_over_a_branch_of_its_name(origin: Repository, store: Repositories) -> None:
    origin.commit({"a": "branch"})
    origin.git("checkout", "--quiet", "-b", "x")
    origin.commit({"a": "tag"}, tag="y")
    origin.git("tag", "x")
    origin.git("push", "--quiet", "origin", "refs/tags/x")
    origin.git("checkout", "--quiet", "main")
    origin.git("push", "--quiet", "--force", "origin", "main:refs/heads/x")
    assert await store.update(package(origin, "x"))
    assert text(store, package(origin, "x")) == "tag"
    assert not await store.update(package(origin, "x"))


async def test_a_web_server_that_knows_no_git(
    origin: Repository, store: Repositories, tmp_path: Path
) -> None:
    first = origin.commit({"a": "1"})
    origin.commit({"a": "2"}, tag="v2")
    with web_server(tmp_path) as url:
        for ref, content in (("", "2"), ("main", "2"), ("v2", "2"), (first, "1")):
            wanted = GitPackage(f"{url}/origin.git", ref)
            assert await store.update(wanted)
            assert text(store, wanted) == content


async def test_submodules_come_along(origin: Repository, store: Repositories, tmp_path: Path) -> None:
    part = Repository(tmp_path / "part")
    part.commit({"a": "part"})
    origin.git("submodule", "--quiet", "add", str(part.path), "below")
    origin.commit({})
    assert await store.update(package(origin))
    assert text(store, package(origin), "below/a") == "part"


async def test_a_remote_repository_brings_none_of_this_machine(
    origin: Repository, store: Repositories, tmp_path: Path
) -> None:
    """Otherwise its author would choose which of the user's own repositories become part of it."""
    private = Repository(tmp_path / "private")
    private.commit({"a": "private"})
    origin.git("submodule", "--quiet", "add", str(private.path), "below")
    origin.commit({})
    with web_server(tmp_path) as url, pytest.raises(RuntimeFailure, match="transport 'file' not allowed"):
        await store.update(GitPackage(f"{url}/origin.git"))
    assert store.find(GitPackage(f"{url}/origin.git")) is None


async def test_a_stranger_has_a_copy_of_his_own_and_no_keys(
    origin: Repository, store: Repositories, tmp_path: Path
) -> None:
    origin.commit({"a": "1"})
    assert await store.update(package(origin))
    assert store.find(package(origin, own=False)) is None
    for url in (str(origin.path), "ssh://example.com/a.git", "ext::touch /tmp/never"):
        with pytest.raises(RuntimeFailure, match="not allowed"):
            await store.update(GitPackage(url, own=False))


async def test_nothing_of_a_repository_runs(
    origin: Repository, store: Repositories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    (template / "post-checkout").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (template / "post-checkout").chmod(0o755)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(f"[init]\ntemplateDir = {template.parent}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    origin.commit({"a": "1", ".gitattributes": "a filter=evil\n"})
    assert await store.update(package(origin))
    assert text(store, package(origin)) == "1" and not ran.exists()


@pytest.mark.parametrize(
    ("ref", "said"),
    [("v9", "has no branch or tag v9"), ("f" * 40, "cannot be fetched"), ("", "has no commit")],
)
async def test_what_is_not_there(origin: Repository, store: Repositories, ref: str, said: str) -> None:
    if ref:
        origin.commit({"a": "1"})
    with pytest.raises(RuntimeFailure, match=said) as caught:
        await store.update(package(origin, ref))
    assert caught.value.reason == FAILED
    assert not list((Path(store._folder)).rglob(".new-*"))


async def test_a_server_that_is_away(store: Repositories) -> None:
    with pytest.raises(RuntimeFailure, match=r"http://127\.0\.0\.1:1/a\.git cannot be fetched: .*[Cc]onnect"):
        await store.update(GitPackage("http://127.0.0.1:1/a.git"))


@pytest.mark.parametrize(
    ("said", "told"),
    [("ssh: connect to host 10.0.0.1 port 22: Connection refused", "Connection refused"),
     ("git@example.com: Permission denied (publickey).", "Permission denied (publickey)."),
     ("Host key for x has changed.\nHost key verification failed.", "Host key for x has changed"),
     ("ERROR: Repository not found.", "Repository not found")],
)  # fmt: skip
async def test_the_words_of_what_git_used_are_told(
    store: Repositories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f"#!/bin/sh\necho \"Warning: Permanently added 'x' to the list of known hosts.\" >&2\n"
        f"echo '{said}' >&2\nexit 255\n"
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    with pytest.raises(RuntimeFailure) as caught:
        await store.update(GitPackage("ssh://git@example.com/a.git"))
    assert told in caught.value.message
    assert ("connect to it once" in caught.value.hint) == ("Host key" in said)
    for boilerplate in (
        "Could not read",
        "correct access rights",
        "and the repository exists",
        "Permanently",
    ):
        assert boilerplate not in caught.value.message


async def test_a_folder_that_is_not_there_or_leads_out(
    origin: Repository, store: Repositories, tmp_path: Path
) -> None:
    os.symlink("/etc", tmp_path / "origin" / "out")
    origin.commit({"a": "1"})
    await store.update(package(origin))
    for folder in ("b", "a", "out"):
        with pytest.raises(RuntimeFailure, match=f"has no folder {folder}") as caught:
            store.find(package(origin, folder=folder))
        assert caught.value.reason == "GitFolderMissing"


async def test_no_git_on_the_machine(
    origin: Repository, store: Repositories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeFailure, match="no git on this machine") as caught:
        await store.update(package(origin))
    assert (caught.value.reason, caught.value.hint) == ("GitMissing", "install git (apt install git)")


async def test_a_version_that_somebody_removed_comes_back(origin: Repository, store: Repositories) -> None:
    origin.commit({"a": "1"})
    await store.update(package(origin))
    found = Path(store.find(package(origin)) or "")
    found.rename(found.with_name("elsewhere"))
    assert store.find(package(origin)) is None
    assert await store.update(package(origin))
    assert text(store, package(origin)) == "1"


async def test_damaged_refs_are_asked_for_again(
    origin: Repository, store: Repositories, tmp_path: Path
) -> None:
    origin.commit({"a": "1"})
    await store.update(package(origin))
    (refs,) = (tmp_path / "store").rglob("refs.json")
    for damage in ("", "[1]", '{"": "../../../etc"}', '{"": 5}'):
        refs.write_text(damage)
        again = Repositories(tmp_path / "store")
        assert again.find(package(origin)) is None
        assert await again.update(package(origin))
        assert text(again, package(origin)) == "1"


async def test_what_nobody_needs_goes(origin: Repository, store: Repositories, tmp_path: Path) -> None:
    origin.commit({"a/b": "1"})
    await store.update(package(origin))
    old = store.find(package(origin, folder="a"))
    origin.commit({"a/b": "2"})
    await store.update(package(origin))
    new = store.find(package(origin))
    assert old and new
    (tmp_path / "store" / Path(new).parent.name / ".new-left").mkdir()
    await store.collect([package(origin)], [old])
    assert os.path.isdir(old) and os.path.isdir(new)
    assert not list((tmp_path / "store").rglob(".new-*"))
    await store.collect([package(origin)], [])
    assert not os.path.isdir(old) and os.path.isdir(new)
    await store.collect([], [])
    assert list((tmp_path / "store").iterdir()) == []
    assert await store.update(package(origin))
    assert text(store, package(origin), "a/b") == "2"


async def test_a_cancelled_fetch_leaves_nothing(
    origin: Repository, store: Repositories, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "ssh"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 60\n")
    slow.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_SSH_COMMAND", str(slow))
        with anyio.move_on_after(5) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.update, GitPackage("ssh://example.com/a.git"))
                while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
    assert not scope.cancelled_caught
    pid = int((tmp_path / "pid").read_text())
    with anyio.fail_after(5):
        while alive(pid):
            await anyio.sleep(0.01)


async def test_releases_are_the_tags_that_are_versions(origin: Repository, store: Repositories) -> None:
    first = origin.commit({"a": "1"}, tag="v1.0.0")
    second = origin.commit({"a": "2"}, tag="1.10.0")
    origin.commit({"a": "3"}, tag="nightly")
    origin.git("tag", "v2.0.0-rc.1")
    origin.git("push", "--quiet", "--tags", "origin")
    offer = await store.ask(package(origin))
    assert {str(version) for version in offer.releases} == {"1.0.0", "1.10.0", "2.0.0-rc.1"}
    newest, old = offer.newest(), offer.newest("~1.0")
    assert newest and old
    assert (newest.tag, newest.commit, old.tag, old.commit) == ("1.10.0", second, "v1.0.0", first)
    wanted = GitPackage(str(origin.path), old.commit, tag=old.tag)
    assert await store.update(wanted)
    assert text(store, wanted) == "1"


async def test_a_release_is_found_where_servers_give_no_commit_by_its_id(
    origin: Repository, store: Repositories, tmp_path: Path
) -> None:
    first = origin.commit({"a": "1"}, tag="v1.0.0")
    origin.commit({"a": "2"})
    with web_server(tmp_path) as url:
        wanted = GitPackage(f"{url}/origin.git", first, tag="v1.0.0")
        assert await store.update(wanted)
        assert text(store, wanted) == "1"


async def test_the_url_may_lack_its_ending(origin: Repository, store: Repositories, tmp_path: Path) -> None:
    origin.commit({"a": "1"}, tag="v1.0.0")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "origin.git").symlink_to(origin.path)
    with web_server(tmp_path / "www") as url:
        wanted = GitPackage(f"{url}/origin")
        assert await store.update(wanted)
        assert text(store, wanted) == "1"
        assert (await store.ask(wanted)).newest() is not None
        with pytest.raises(RuntimeFailure, match=f"{url}/other cannot be fetched"):
            await store.update(GitPackage(f"{url}/other"))
