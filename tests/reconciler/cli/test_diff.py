"""`atek diff --git`: what a commit of a Git source would change here, with and without its node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.model.git_source import GitSource
from manifests.model.nodes import Place
from reconciler.drive.events import EventLog
from reconciler.gitops.sources import GitSources
from reconciler.state.settings import default_name
from tests.reconciler.cli.atek import running_node
from tests.reconciler.fakes import FakeNode
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reconciler.cli.atek import Atek


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "origin")


def service(name: str, value: str = "1") -> str:
    return json.dumps({"id": name, "command": ["sleep", "1000"], "env": {"VALUE": value}})


def configure(home: Path, origin: Repository) -> GitSources:
    """A home with one Git source, and its node's end of it."""
    home.mkdir(mode=0o700, exist_ok=True)
    text = f'coreServices = []\n[[sources.git]]\nname = "home"\nurl = "{origin.path}"\n'
    (home / "config.toml").write_text(text)
    (home / "config.toml").chmod(0o600)
    spec = GitSource.model_validate({"name": "home", "url": str(origin.path)})
    return GitSources(home, [spec], Place(default_name()), EventLog(), jitter=lambda: 0.5)


def applied(git: GitSources) -> None:
    """As if the node had run, and applied what the ref is now."""

    async def live() -> None:
        source = git.sources()[0]
        await source.scan()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(source.watch, lambda: None)
            with anyio.fail_after(20):
                await git.sync("home")
            tasks.cancel_scope.cancel()

    anyio.run(live)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_branch_before_it_is_merged(atek: Atek, origin: Repository) -> None:
    origin.commit({"a.json": service("a"), "b.json": service("b")})
    applied(configure(atek.home, origin))
    before = everything(atek.home)
    origin.git("checkout", "--quiet", "-b", "feature/x")
    commit = origin.commit({"a.json": service("a", "2"), "c.json": service("c")})
    done = atek("diff", "--git", "home@feature/x", "--json")
    assert done.status == 2, done.err
    told = json.loads(done.out)
    assert told["git"] | {"author": ""} == {
        "source": "home",
        "revision": f"feature/x@{commit[:12]}",
        "commit": commit,
        "author": "",
        "subject": "more",
        "verifiedBy": None,
    }
    # Nothing runs yet, and nothing ran.
    assert {each["id"]: each["kind"] for each in told["changes"]} == {
        "a": "create",
        "b": "create",
        "c": "create",
    }
    text = atek("diff", "--git", f"home@{commit}").out
    assert text.startswith(f"home at {commit[:12]} (")
    assert "+ c: process" in text
    assert everything(atek.home) == before


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.json": '{"id": '}, "a.json"),
        ({"a.json": None, "b.json": None}, "it has no services at all, and 2 would end"),
    ],
)
def test_what_would_not_be_applied_is_told(
    files: dict[str, str | None], reason: str, atek: Atek, origin: Repository
) -> None:
    origin.commit({"a.json": service("a"), "b.json": service("b")})
    applied(configure(atek.home, origin))
    origin.git("checkout", "--quiet", "-b", "bad")
    origin.commit(files)
    done = atek("diff", "--git", "home@bad", "--json")
    assert done.status == 1
    (why,) = [each for each in json.loads(done.out)["changes"] if each["kind"] == "blocked"]
    assert reason in f"{why['id']} {why['message']}"


@pytest.mark.parametrize("name", ["refs/pull/7/head", "refs/merge-requests/7/head"])
def test_what_somebody_asks_to_merge(name: str, atek: Atek, origin: Repository) -> None:
    """He may have no right to push: nothing of this machine is read for what he says."""
    origin.commit({"a.json": service("a")})
    git = configure(atek.home, origin)
    applied(git)
    origin.git("checkout", "--quiet", "-b", "theirs")
    commit = origin.commit({"a.json": service("a", "2"), "c.json": service("c")})
    origin.git("push", "--quiet", "origin", f"HEAD:{name}", ":theirs")
    done = atek("diff", "--git", f"home@{name}", "--json")
    assert done.status == 2, done.err
    told = json.loads(done.out)
    assert told["git"]["commit"] == commit and told["git"]["revision"] == f"{name}@{commit[:12]}"
    assert {each["id"] for each in told["changes"]} == {"a", "c"}
    (atek.home / "secret.env").write_text("KEY=s3cret\n")
    text = f"services: {{web: {{image: x, env_file: ['{atek.home}/secret.env']}}}}"
    origin.commit({"compose.yaml": text})
    assert atek("diff", "--git", "home@theirs").status == 2, "who may push may say so"
    origin.git("push", "--quiet", "origin", f"HEAD:{name}", ":theirs")
    refused = atek("diff", "--git", f"home@{name}")
    assert refused.status == 1 and "s3cret" not in refused.out + refused.err
    assert "is not in the same repository" in refused.out
    missing = atek("diff", "--git", "home@refs/pull/8/head")
    assert missing.status == 1 and "has no refs/pull/8/head" in missing.err
    assert atek("diff", "--git", "home@refs/pull/*/head").status == 1


def test_who_did_not_sign_would_not_be_applied(atek: Atek, origin: Repository) -> None:
    origin.commit({"a.json": service("a")})
    configure(atek.home, origin)
    (atek.home / "signers").write_text(f"me@example.com ssh-ed25519 {'A' * 68}\n")
    with open(atek.home / "config.toml", "a") as file:
        file.write('verify = { allowedSigners = "signers" }\n')
    done = atek("diff", "--git", "home")
    assert done.status == 1
    assert "! home: " in done.out and "sign" in done.out


def test_what_cannot_be_had_is_an_error(atek: Atek, origin: Repository) -> None:
    origin.commit({"a.json": service("a")}, tag="v1")
    configure(atek.home, origin)
    for wanted, why in [
        ("other", "there is no Git source other"),
        ("home@nothing", "has no branch nothing"),
        ("home@no..name", "is no name of a branch"),
        (f"home@{'a' * 40}", "has no commit"),
    ]:
        done = atek("diff", "--git", wanted)
        assert done.status == 1
        assert why in done.err, (wanted, done.err)
    assert atek("diff", "--git", "home@v1").status == 2
    assert atek("plan", "--git", "home", "--at", "3").status == 1


def test_a_node_that_runs_fetches_it_into_its_mirror(
    atek: Atek, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.cli.proposed.holder", lambda home: {"pid": 1})
    origin.commit({"a.json": service("a")})
    git = configure(atek.home, origin)
    applied(git)
    origin.git("checkout", "--quiet", "-b", "next")
    commit = origin.commit({"a.json": None, "b.json": service("b")})
    with running_node(atek.home, FakeNode(git=git)):
        told = atek("diff", "--git", "home@next", "--json")
        assert told.status == 2, told.err
        assert json.loads(told.out)["git"]["commit"] == commit
    assert any(path.name.startswith(commit) for path in (atek.home / "state" / "git").rglob("*"))


def test_the_plan_of_a_home_knows_what_is_applied(atek: Atek, origin: Repository) -> None:
    """What a Git source declares is not taken for something that nobody declares."""
    origin.commit({"a.json": service("a")})
    git = configure(atek.home, origin)
    assert "nothing would change" in atek("plan").out
    applied(git)
    assert "+ a: process" in atek("plan").out
