"""What a repository may hold to do harm: nothing of it is laid out, and the reason says what it is."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from reconciler.gitops import git as running
from reconciler.gitops.troubles import GitTrouble
from tests.reconciler.gitops.servers import http_server
from tests.reconciler.gitops.test_repository import laid_out
from tests.runtimes.packages.git_server import web_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.gitops.repository import Repository as Mirror
    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio
_FILE, _LINK, _FOLDER = b"100644", b"120000", b"40000"


class Forge:
    """Writes objects that git would not."""

    def __init__(self, origin: Repository) -> None:
        self._origin = origin

    def blob(self, data: bytes) -> str:
        return self.put("blob", data)

    def tree(self, *entries: tuple[bytes, bytes, str]) -> str:
        data = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(what) for mode, name, what in entries)
        return self.put("tree", data)

    def put(self, kind: str, data: bytes) -> str:
        line = [
            "git",
            "--git-dir",
            str(self._origin.path),
            "hash-object",
            "-t",
            kind,
            "-w",
            "--stdin",
            "--literally",
        ]
        return subprocess.run(line, input=data, capture_output=True, check=True).stdout.decode().strip()

    def publish(self, tree: str) -> str:
        at = ("--git-dir", str(self._origin.path))
        commit = self._origin.git(*at, "commit-tree", "-m", "more", tree)
        self._origin.git(*at, "update-ref", "refs/heads/main", commit)
        self._origin.git(*at, "update-server-info")
        return commit


@pytest.fixture
def forge(origin: Repository) -> Forge:
    return Forge(origin)


async def refused(mirror: Mirror, path: str = "") -> GitTrouble:
    with pytest.raises(GitTrouble) as caught:
        await laid_out(mirror, path)
    left = [each.name for each in mirror.mirror.parent.glob(f"{mirror.source.mirror}/*")]
    assert left == [], "nothing half made"
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        b"..", b".", b".git", b".GIT", b".git.", b"git~1", b"a/b", b"../x", b"a\nb", b"\x1b[2J", b"a\x7f",
        b"n" * 256,
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", [_FILE, _FOLDER, _LINK])
async def test_names(forge: Forge, opened: Callable[..., Mirror], name: bytes, mode: bytes) -> None:
    inner = forge.tree((_FILE, b"x", forge.blob(b"x"))) if mode == _FOLDER else forge.blob(b"x")
    forge.publish(forge.tree((mode, name, inner)))
    told = await refused(opened())
    assert told.reason in {"ForbiddenName", "BrokenTree"} and told.message.isprintable()


async def test_names_that_are_nobodys_business(forge: Forge, opened: Callable[..., Mirror]) -> None:
    names = (b"-rf", b"CON", b"a b", "ü".encode(), b"\xff", b"$(id)", b"x" * 255)
    blob = forge.blob(b"x")
    forge.publish(forge.tree(*((_FILE, name, blob) for name in sorted(names))))
    mirror = opened()
    seen = await mirror.look(mirror.source.ref)
    await mirror.fetch(seen)
    assert set(os.listdir(os.fsencode(await mirror.checkout(seen.commit)))) == set(names)


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "../out",
        "a/../../out",
        "inner/up/../..",
        ".git/../../x",
        "../" * 3,
        "",
        "x" * 4000,
        "self/../..",
    ],
)
async def test_links_that_leave(forge: Forge, opened: Callable[..., Mirror], target: str) -> None:
    inner = forge.tree((_LINK, b"up", forge.blob(b"..")), (_FILE, b"x", forge.blob(b"x")))
    forge.publish(forge.tree((_FOLDER, b"inner", inner), (_LINK, b"link", forge.blob(target.encode()))))
    assert (await refused(opened())).reason == "LinkLeavesTree"


async def test_links_that_leave_through_others(forge: Forge, opened: Callable[..., Mirror]) -> None:
    links = (("a", "b/../.."), ("b", "c/d"))
    inner = forge.tree((_FOLDER, b"d", forge.tree((_FILE, b"x", forge.blob(b"x")))))
    found = [(_LINK, name.encode(), forge.blob(target.encode())) for name, target in links]
    forge.publish(forge.tree(*found, (_FOLDER, b"c", inner)))
    assert await laid_out(opened())
    forge.publish(forge.tree(*found, (_FOLDER, b"c", inner), (_LINK, b"e", forge.blob(b"a/../x"))))
    assert (await refused_again(opened())).reason == "LinkLeavesTree"


async def refused_again(mirror: Mirror) -> GitTrouble:
    with pytest.raises(GitTrouble) as caught:
        await laid_out(mirror)
    return caught.value


async def test_links_that_stay(origin: Repository, opened: Callable[..., Mirror], tmp_path: Path) -> None:
    (tmp_path / "work" / "a").mkdir()
    (tmp_path / "work" / "a" / "link").symlink_to("../b")
    (tmp_path / "work" / "dangling").symlink_to("a/nothing")
    (tmp_path / "work" / "loop").symlink_to("loop")
    origin.commit({"b": "text", "a/c": "1"})
    mirror = opened()
    assert (await laid_out(mirror))["a/link"] == "text"
    # What leaves the folder that is asked for is not here, wherever in the repository it may be.
    with pytest.raises(GitTrouble) as caught:
        await laid_out(mirror, "a")
    assert caught.value.reason == "LinkLeavesTree" and "a/link" not in os.listdir(tmp_path)


async def test_a_link_and_a_folder_of_one_name(
    forge: Forge, opened: Callable[..., Mirror], tmp_path: Path
) -> None:
    inner = forge.tree((_FILE, b"x", forge.blob(b"evil")))
    forge.publish(forge.tree((_LINK, b"a", forge.blob(str(tmp_path).encode())), (_FOLDER, b"a", inner)))
    assert (await refused(opened())).reason == "BrokenTree"
    assert not (tmp_path / "x").exists()


async def test_devices_and_broken_trees(forge: Forge, opened: Callable[..., Mirror]) -> None:
    forge.publish(forge.tree((b"20666", b"null", forge.blob(b""))))
    assert (await refused(opened())).reason == "BrokenTree"
    forge.publish(forge.put("tree", b"100644 a"))
    assert (await refused(opened())).reason in {"BrokenTree", "GitFailed"}


# -- bombs


async def test_a_tree_that_unfolds(forge: Forge, opened: Callable[..., Mirror]) -> None:
    """Ten to the tenth files in a dozen objects."""
    tree = forge.tree(*((_FILE, b"f%d" % index, forge.blob(b"bomb")) for index in range(10)))
    for _ in range(9):
        tree = forge.tree(*((_FOLDER, b"d%d" % index, tree) for index in range(10)))
    forge.publish(tree)
    told = await refused(opened())
    assert told.reason == "RepositoryTooLarge" and "limits" in told.hint
    assert (await refused(opened(limits={"files": 50}))).reason == "RepositoryTooLarge"


async def test_a_tree_without_a_bottom(forge: Forge, opened: Callable[..., Mirror]) -> None:
    tree = forge.tree((_FILE, b"x", forge.blob(b"x")))
    for _ in range(200):
        tree = forge.tree((_FOLDER, b"d", tree))
    forge.publish(tree)
    assert (await refused(opened())).reason == "RepositoryTooLarge"


async def test_paths_that_are_too_long(forge: Forge, opened: Callable[..., Mirror]) -> None:
    tree = forge.tree((_FILE, b"x", forge.blob(b"x")))
    for _ in range(50):
        tree = forge.tree((_FOLDER, b"n" * 200, tree))
    forge.publish(tree)
    assert (await refused(opened())).reason == "ForbiddenName"


async def test_files_that_are_small_on_the_way(origin: Repository, opened: Callable[..., Mirror]) -> None:
    origin.commit({"zeros": "0" * 3_000_000, "a": "1"})
    told = await refused(opened(limits={"bytes": "1Mi"}))
    assert told.reason == "RepositoryTooLarge" and "1048576" in told.message
    assert len(await laid_out(opened(limits={"bytes": "4Mi"}))) == 2


@pytest.mark.parametrize("way", ["file", "http", "dumb"])
async def test_more_than_may_come(
    origin: Repository, opened: Callable[..., Mirror], tmp_path: Path, way: str
) -> None:
    (tmp_path / "work" / "noise").write_text(os.urandom(400_000).hex())
    origin.commit({"a": "1"})
    folder = origin.path.parent
    with http_server(folder) as http, web_server(folder) as dumb:
        url = {"file": str(origin.path), "http": f"{http.url}/work.git", "dumb": f"{dumb}/work.git"}[way]
        mirror = opened(url, limits={"pack": "256Ki"})
        with pytest.raises(GitTrouble) as caught:
            await laid_out(mirror)
        assert caught.value.reason == "RepositoryTooLarge", caught.value
        assert sum(path.stat().st_size for path in mirror.mirror.rglob("*") if path.is_file()) < 400_000
        assert len(await laid_out(opened(url))) == 2


async def test_a_folder_of_a_repository_that_is_too_large(
    origin: Repository, opened: Callable[..., Mirror], tmp_path: Path
) -> None:
    """What is not asked for does not count."""
    origin.git("--git-dir", str(origin.path), "config", "uploadpack.allowFilter", "true")
    (tmp_path / "work" / "noise").write_text(os.urandom(400_000).hex())
    origin.commit({"mine/a": "1"})
    assert await laid_out(opened(limits={"pack": "256Ki", "bytes": "256Ki"}), "mine") == {"a": "1"}


async def test_a_server_that_never_ends(
    origin: Repository, opened: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up, with all that was started for it."""
    origin.commit({"a": "1"})
    monkeypatch.setattr("reconciler.gitops.looking.ASK", 1.0)
    with http_server(origin.path.parent) as server:
        gate = threading.Event()

        def wait(path: str) -> None:
            gate.wait(30)

        server.before = wait
        mirror = opened(f"{server.url}/work.git")
        with pytest.raises(GitTrouble) as caught:
            await laid_out(mirror)
        assert caught.value.reason == "TakesTooLong"
        while any(server.url.encode() in _read(each) for each in Path("/proc").glob("[0-9]*/cmdline")):
            await anyio.sleep(0.01)
        gate.set()
        server.before = lambda path: None
        monkeypatch.undo()
        assert await laid_out(mirror) == {"a": "1"}


async def test_a_listing_without_an_end(
    origin: Repository, opened: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"a": "1"})
    monkeypatch.setattr(running, "MOST_PRINTED", 1000)
    head = origin.git("rev-parse", "HEAD")
    for index in range(30):
        origin.git("--git-dir", str(origin.path), "update-ref", f"refs/heads/b{index}", head)
    assert (await refused(opened())).reason == "RepositoryTooLarge"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
