"""Values written back: one commit on top of the branch, over real servers, beside others who push too."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.git_source import GitSource
from manifests.model.nodes import Place
from reconciler.decide.updating import Edit
from reconciler.gitops import committing, writing
from reconciler.gitops.repository import Repositories
from reconciler.gitops.troubles import GitTrouble
from reconciler.gitops.writing import ATTEMPTS, author_of, write_back
from runtimes.processes.children import TABLE
from tests.reconciler.gitops.servers import authority, git_daemon, http_server, ssh_server
from tests.reconciler.gitops.signers import ssh_signer
from tests.reconciler.gitops.test_servers import by_ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio

OLD, NEW = "nginx:1.2.0", "nginx:1.3.0@sha256:" + "0" * 64
WEB = f"# the web\nid: web\nimage: {OLD}   # by hand\nautoUpdate: {{image: ^1, writeBack: true}}\n"
CHANGE = Edit("image", OLD, NEW)
OTHERS = {"other/big.bin": "x" * 5000, "other/deeper/y": "y"}


async def written(home: Path, url: str, change: Edit = CHANGE, **values: Any) -> str:
    source = GitSource.model_validate({"name": "it", "url": url, **values})
    repository = Repositories(home, home / "state" / "git").open(source)
    place = Place("pi", frozenset())
    return await write_back(
        repository, source, place, "web", change, wall=lambda: 1_800_000_000.0, jitter=lambda: 0.5
    )


async def refused(home: Path, url: str, change: Edit = CHANGE, **values: Any) -> GitTrouble:
    with pytest.raises(GitTrouble) as found:
        await written(home, url, change, **values)
    return found.value


def at_origin(origin: Repository, *line: str) -> str:
    return origin.git("--git-dir", str(origin.path), *line)


def hook(origin: Repository, name: str, script: str) -> None:
    file = origin.path / "hooks" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


async def check(home: Path, origin: Repository, url: str, **values: Any) -> None:
    """One commit that changes one value, whatever else there is, and nothing the second time."""
    origin.git("--git-dir", str(origin.path), "config", "uploadpack.allowFilter", "true")
    before = origin.commit({"home/a.yaml": "id: a\nimage: nginx:1.2.0\n", "home/sub/web.yaml": WEB, **OTHERS})
    commit = await written(home, url, path="home", **values)
    assert at_origin(origin, "rev-parse", "main", "main~1").split() == [commit, before]
    assert at_origin(origin, "diff", "--name-only", before, commit) == "home/sub/web.yaml"
    assert at_origin(origin, "show", f"{commit}:home/sub/web.yaml") == WEB.replace(OLD, NEW).strip()
    assert at_origin(origin, "log", "-1", "--format=%an <%ae>%n%cn%n%ct%n%s", commit).split("\n") == [
        "Atek on pi <atek@pi>", "Atek on pi", "1800000000", "Update web to nginx:1.3.0",
    ]  # fmt: skip
    at_origin(origin, "fsck", "--strict")
    assert await written(home, url, path="home", **values) == "", "the branch says it now"
    origin.git("pull", "--quiet", "origin", "main")


async def test_a_repository_of_this_machine(home: Path, origin: Repository) -> None:
    await check(home, origin, str(origin.path))
    # And once more, in the same mirror, from where it is now.
    other = Edit("image", NEW, "nginx:1.4.0@sha256:" + "1" * 64)
    assert await written(home, str(origin.path), other, path="home")
    assert other.after in at_origin(origin, "show", "main:home/sub/web.yaml")


async def test_http_with_a_token_and_a_private_ca(home: Path, origin: Repository, tmp_path: Path) -> None:
    tls = authority(tmp_path / "tls")
    (home / "token").write_text("s3cret\n")
    (home / "token").chmod(0o600)
    values = {"credentials": {"tokenFile": "token"}, "caFile": str(tls.ca)}
    at_origin(origin, "config", "http.receivepack", "true")
    with http_server(origin.path.parent, tls) as server:
        server.token = "s3cret"
        await check(home, origin, f"{server.url}/work.git", **values)
        # A token that may read, and not write.
        server.answer = lambda path: (403, {}) if "receive-pack" in path else None
        change = Edit("image", NEW, OLD)
        trouble = await refused(home, f"{server.url}/work.git", change, path="home", **values)
        assert trouble.reason == "PushRefused" and "push to main" in trouble.hint
        assert "s3cret" not in str(trouble)


async def test_ssh(home: Path, origin: Repository, tmp_path: Path) -> None:
    key = ssh_signer(tmp_path, "node")
    with ssh_server(tmp_path / "sshd") as server:
        server.allow(key.public)
        await check(home, origin, **by_ssh(home, server, key, origin))


async def test_a_server_that_takes_nothing_says_so(home: Path, origin: Repository) -> None:
    origin.commit({"web.yaml": WEB})
    with git_daemon(origin.path.parent) as url:
        trouble = await refused(home, f"{url}/work.git")
    assert trouble.reason != "PushRaced"
    before = at_origin(origin, "rev-parse", "main")
    hook(origin, "pre-receive", "echo 'the branch is protected' >&2; exit 1")
    trouble = await refused(home, str(origin.path))
    assert trouble.reason == "PushRefused" and "hook declined" in str(trouble)
    assert at_origin(origin, "rev-parse", "main") == before


async def test_whoever_is_first_wins_and_this_goes_on_top(
    home: Path, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"web.yaml": WEB})
    others = iter(range(3))
    push = committing.write

    async def beaten(*arguments: Any) -> str:
        if (number := next(others, None)) is not None:
            origin.commit({f"other{number}": "x", "web.yaml": f"{WEB}# {number}\n"})
        return await push(*arguments)

    monkeypatch.setattr("reconciler.gitops.repository.write", beaten)
    monkeypatch.setattr(writing, "PAUSE", 0.01)
    commit = await written(home, str(origin.path))
    assert at_origin(origin, "rev-parse", "main") == commit
    assert at_origin(origin, "log", "--format=%s", "main").split("\n") == [
        "Update web to nginx:1.3.0", *["more"] * 4,
    ]  # fmt: skip
    assert at_origin(origin, "show", "main:web.yaml") == f"{WEB}# 2".replace(OLD, NEW)


async def test_a_race_that_is_never_won_ends(
    home: Path, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"web.yaml": WEB})
    push = committing.write
    times: list[str] = []

    async def beaten(*arguments: Any) -> str:
        times.append(origin.commit({"other": str(len(times))}))
        return await push(*arguments)

    monkeypatch.setattr("reconciler.gitops.repository.write", beaten)
    monkeypatch.setattr(writing, "PAUSE", 0.01)
    assert (await refused(home, str(origin.path))).reason == "PushRaced"
    assert len(times) == ATTEMPTS and at_origin(origin, "rev-parse", "main") == times[-1]


async def test_a_history_that_was_pushed_away_is_never_brought_back(home: Path, origin: Repository) -> None:
    first = origin.commit({"web.yaml": WEB})
    origin.commit({"secret": "by mistake"})
    assert await written(home, str(origin.path))
    at_origin(origin, "update-ref", "refs/heads/main", first)
    again = await written(home, str(origin.path))
    assert at_origin(origin, "rev-parse", "main", "main~1").split() == [again, first]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"web.yaml": WEB.replace(OLD, "nginx:1.2.5")}, id="another image"),
        pytest.param({"web.yaml": WEB.replace(OLD, NEW)}, id="the same already"),
        pytest.param({"web.yaml": None, "b.yaml": "id: b\nimage: x\n"}, id="no service"),
    ],
)
async def test_where_the_branch_says_something_else_nothing_is_written(
    changed: dict[str, str | None], home: Path, origin: Repository
) -> None:
    origin.commit({"web.yaml": WEB})
    before = origin.commit(changed)
    assert await written(home, str(origin.path)) == ""
    assert at_origin(origin, "rev-parse", "main") == before


COMPOSE = f"""\
name: web
services:
  web:
    image: {OLD} # nginx:1.2.0
    x-atek: {{autoUpdate: {{image: ^1, writeBack: true}}}}
    volumes: ["./conf:/conf"]
  other: {{image: {OLD}}}
"""


async def test_a_service_of_a_compose_file(home: Path, origin: Repository) -> None:
    origin.commit({"shop/compose.yaml": COMPOSE, "shop/conf/a": "x", "shop/compose.override.yaml": "x-a: b"})
    assert await written(home, str(origin.path))
    text = at_origin(origin, "show", "main:shop/compose.yaml")
    assert text == COMPOSE.replace(OLD, NEW, 1).strip()
    # What stands in another file than its own is told, and left to its author.
    over = f"services: {{web: {{image: {OLD}}}}}"
    origin.git("pull", "--quiet", "origin", "main")
    origin.commit({"shop/compose.override.yaml": over})
    assert "as one value of web alone" in str(await refused(home, str(origin.path)))


#: What a source is like, and its branch's file: what is said.
NOT_WRITABLE: dict[str, tuple[dict[str, Any], str, str]] = {
    "a stranger's": ({"trust": "foreign"}, WEB, "not this node's own"),
    "signed commits": ({"verify": {"allowedSigners": "signers"}}, WEB, "signs none"),
    "a tag": ({"ref": {"tag": "v1"}}, WEB, "is no branch"),
    "a range": ({"ref": "^1"}, WEB, "is no branch"),
    "suspended": ({"suspend": True}, WEB, "suspended"),
    "broken": ({}, WEB + "no: key\n", "is broken"),
    "put together": ({}, WEB.replace(OLD, '"nginx\\x3a1.2.0"'), "as one value of web alone"),
}


@pytest.mark.parametrize("name", NOT_WRITABLE)
async def test_what_is_not_written_is_told(name: str, home: Path, origin: Repository) -> None:
    values, text, told = NOT_WRITABLE[name]
    before = origin.commit({"web.yaml": text}, tag="v1.0.0")
    trouble = await refused(home, str(origin.path), **values)
    assert trouble.reason == "NotWritable" and told in str(trouble)
    assert at_origin(origin, "rev-parse", "main") == before


async def test_links_and_modes_stay_what_they_are(home: Path, origin: Repository) -> None:
    origin.commit({"real/web.txt": WEB, "x.sh": "#!/bin/sh\n"})
    (origin._tree / "web.yaml").symlink_to("real/web.txt")
    origin.commit({})
    assert "no file of the repository's own" in str(await refused(home, str(origin.path)))
    (origin._tree / "web.yaml").unlink()
    (origin._tree / "x.sh").chmod(0o755)
    (origin._tree / "web.yaml").write_bytes(b"\xef\xbb\xbf" + WEB.encode())
    (origin._tree / "web.yaml").chmod(0o755)
    origin.commit({})
    before = at_origin(origin, "ls-tree", "-r", "main").split("\n")
    assert await written(home, str(origin.path), author="Robot <robot@example.com>")
    after = at_origin(origin, "ls-tree", "-r", "main").split("\n")
    assert [a for a, b in zip(after, before, strict=True) if a == b] == before[:1] + before[2:]
    assert {each.split()[0] for each in after if "web.yaml" in each} == {"100755"}
    assert at_origin(origin, "show", "main:web.yaml").startswith("\ufeff# the web")
    assert at_origin(origin, "log", "-1", "--format=%ae", "main") == "robot@example.com"


def test_killed_at_every_step_it_is_written_once(home: Path, origin: Repository) -> None:
    before = origin.commit({"web.yaml": WEB})
    lives = 0
    while not _life(home, str(origin.path), lives):
        lives += 1
        assert lives < 200
    assert lives > 10
    assert at_origin(origin, "rev-parse", "main~1") == before
    assert anyio.run(written, home, str(origin.path)) == ""
    assert at_origin(origin, "show", "main:web.yaml") == WEB.replace(OLD, NEW).strip()
    at_origin(origin, "fsck", "--strict")


def _life(home: Path, url: str, steps: int) -> bool:
    """Whether it came to its end, and was not killed before, or right after, the start of a program."""
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        try:
            left = [steps]
            TABLE.spawn = partial(_dying, TABLE.spawn, left)  # type: ignore[method-assign]
            anyio.run(written, home, url)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{steps}: {error!r}\n".encode())
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert not (os.WIFEXITED(status) and os.WEXITSTATUS(status))
    return os.WIFEXITED(status)


def _dying(spawn: Callable[..., Any], left: list[int], *arguments: Any, **options: Any) -> Any:
    for step in ("before", "after"):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        if step == "before":
            process = spawn(*arguments, **options)
    return process


def test_whoever_commits_has_a_name() -> None:
    source = GitSource.model_validate({"name": "it", "url": "/x"})
    assert author_of(source, Place("pi", frozenset())) == "Atek on pi <atek@pi>"
    for wrong in ("me", "me <>", "me <a b>", "<a@b>", "a\n<a@b>", "a <b> <c>"):
        with pytest.raises(ValueError, match="author"):
            GitSource.model_validate({"name": "it", "url": "/x", "author": wrong})
