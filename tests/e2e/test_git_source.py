"""A real node whose manifests are in a repository: commits, and what becomes of them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from reconciler.cli.client import Client
from reconciler.errors import UserError
from tests.e2e.nodes import Bench
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET = "nobody-may-read-this-4711"
PROGRAM = """
console.log('{word}')
require('http').createServer().listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
"""


class GitBench(Bench):
    """A node with one Git source, `home`."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.origin = Repository(self.root / "origin")
        self.configure(**values)

    def configure(self, **values: Any) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        spec = "\n".join(["[[sources.git]]", 'name = "home"', f'url = "{self.origin.path}"', *lines])
        config = self.home / "config.toml"
        config.write_text(f"coreServices = []\n{spec}\n")
        config.chmod(0o600)

    def status(self) -> dict[str, Any]:
        """As `atek status --json`, without a process for each time that it is asked."""
        try:
            value: dict[str, Any] = Client(self.home).call("status")
        except UserError:
            return {"services": [], "sources": []}
        return value

    def source(self) -> dict[str, Any]:
        found = [each for each in self.status().get("sources", ()) if each["name"] == "home"]
        return found[0] if found else {"applied": None, "held": None, "conditions": []}

    def source_condition(self, kind: str = "Ready") -> tuple[str, str]:
        return next(
            (
                (each["status"], each["reason"])
                for each in self.source()["conditions"]
                if each["type"] == kind
            ),
            ("", ""),
        )

    def applied(self, commit: str) -> bool:
        """Whether a commit is what is wanted here, and all of its services are ready."""
        source = self.source()
        is_ready = self.source_condition() == ("True", "Succeeded")
        return bool(source["applied"] and source["applied"]["commit"] == commit and is_ready)

    def hook(
        self, headers: Mapping[str, str], body: bytes = b"{}", name: str = "home", method: str = "POST"
    ) -> int:
        """Sends one to the node's own port, as a server does."""
        address = urlsplit(self.status()["node"]["address"])
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=20)
        try:
            connection.request(method, f"/_atek/hooks/git/{name}", body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()

    def metrics(self) -> str:
        with urlopen(f"http://127.0.0.1:{urlsplit(self.status()['node']['address']).port}/metrics") as page:
            return str(page.read(), "utf-8")


@pytest.fixture
def bench() -> Iterator[GitBench]:
    made = GitBench(interval="1s")
    yield made
    made.close()


def waits(name: str, *, value: str = "1", **rest: Any) -> str:
    document = {"id": name, "command": ["sleep", "1000"], "probes": {"readiness": "none"}}
    return json.dumps(document | {"env": {"VALUE": value}} | rest)


def signed(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    mark = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {name: value.replace("MARK", mark) for name, value in headers.items()}


def test_a_commit_an_edit_and_a_bad_one(bench: GitBench) -> None:
    first = bench.origin.commit({"a.json": waits("a"), "below/b.json": waits("b")})
    bench.up()
    bench.until(lambda: bench.applied(first), "the commit runs")
    assert bench.ready("a", "b")
    a, b = bench.pid("a"), bench.pid("b")
    second = bench.origin.commit({"a.json": waits("a", value="2"), "c.json": waits("c")})
    bench.until(lambda: bench.applied(second), "the next runs, found by itself")
    assert bench.pid("a") != a and bench.pid("b") == b
    a, c = bench.pid("a"), bench.pid("c")
    # One thing wrong with it, and nothing of it counts.
    bad = bench.origin.commit({"a.json": '{"id": "a", ', "below/b.json": None, "c.json": None})
    bench.until(lambda: bench.source_condition("Stalled") == ("True", "InvalidManifests"), "it is held")
    assert bench.source()["held"]["commit"] == bad
    assert (bench.pid("a"), bench.pid("b"), bench.pid("c")) == (a, b, c)
    told = bench.atek("status").stdout
    assert "InvalidManifests" in told and "a.json" in told and bad[:12] in told
    asked = bench.atek("sync", "home", "--wait", "30")
    assert asked.returncode == 1 and "a.json" in asked.stdout
    good = bench.origin.commit({"a.json": waits("a", value="3")})
    asked = bench.atek("sync", "home", "--wait", "30")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert bench.applied(good) and not bench.service("c")["instances"]
    assert bench.source()["pruned"] == ["b", "c"]


def test_what_a_branch_would_change_is_told_before_it_is_merged(bench: GitBench) -> None:
    first = bench.origin.commit({"a.json": waits("a"), "b.json": waits("b"), "kept.json": waits("kept")})
    bench.declare("own")
    bench.up()
    bench.until(lambda: bench.applied(first), "the commit runs")
    bench.until(lambda: bench.ready("own"), "the other too")
    before = bench.processes()
    assert bench.atek("diff", "--git", "home").returncode == 0
    bench.origin.git("checkout", "--quiet", "-b", "next")
    next_ = bench.origin.commit({"a.json": waits("a", value="2"), "b.json": None, "c.json": waits("c")})
    done = bench.atek("diff", "--git", "home@next", "--json")
    assert done.returncode == 2, done.stderr
    told = json.loads(done.stdout)
    assert told["git"]["commit"] == next_
    kinds = {each["id"]: each["kind"] for each in told["changes"]}
    assert kinds == {"a": "update", "b": "delete", "c": "create"}
    (edit,) = [each for each in told["changes"] if each["id"] == "a"]
    assert edit["details"] == ["env.VALUE: 1 → 2"]
    # The plan has the same, beside what else would change.
    plan = bench.atek("plan", "--git", "home@next")
    assert plan.returncode == 2 and "1 to create, 1 to update, 1 to delete" in plan.stdout
    bench.origin.commit({"a.json": '{"id": "a", "nonsense": 1}'})
    done = bench.atek("diff", "--git", "home@next")
    assert done.returncode == 1 and "nonsense" in done.stdout
    # Nothing of that was applied.
    assert bench.processes() == before and bench.applied(first)
    assert bench.atek("plan").returncode == 0


def test_a_commit_that_does_not_run_is_taken_back(bench: GitBench) -> None:
    bench.configure(interval="1s", onFailure="revert")
    first = bench.origin.commit({"a.json": waits("a"), "b.json": waits("b")})
    bench.up()
    bench.until(lambda: bench.applied(first), "the commit runs")
    bad = bench.origin.commit({
        "a.json": waits("a", value="2"),
        "b.json": json.dumps({"id": "b", "command": ["no-such-command-anywhere"]}),
    })  # fmt: skip
    bench.until(lambda: bench.source_condition() == ("False", "Reverted"), "it is taken back")
    source = bench.source()
    assert (source["applied"]["commit"], source["held"]["commit"]) == (first, bad)
    bench.until(lambda: bench.ready("a", "b"), "what ran before runs again")
    assert "CommitReverted" in bench.atek("events").stdout
    # Neither this life nor the next tries it again.
    bench.kill()
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "it is adopted")
    assert bench.source_condition() == ("False", "Reverted")
    good = bench.origin.commit({"b.json": waits("b", value="2")})
    bench.until(lambda: bench.applied(good), "a newer one is applied")


def test_a_package_of_the_repository(bench: GitBench) -> None:
    manifest = json.dumps({"id": "app", "source": "./app", "runtime": "node"})
    first = bench.origin.commit({"app.json": manifest, "app/index.js": PROGRAM.format(word="one")})
    bench.up()
    bench.until(lambda: bench.applied(first), "it runs")
    pid = bench.pid("app")
    moved = bench.origin.commit({
        "app.json": None, "app/index.js": None,
        "moved/app.json": manifest, "moved/app/index.js": PROGRAM.format(word="one"),
    })  # fmt: skip
    bench.until(lambda: bench.applied(moved), "the same elsewhere")
    assert bench.pid("app") == pid
    other = bench.origin.commit({"README.md": "nothing of the program"})
    bench.until(lambda: bench.applied(other), "another commit, and the same program")
    assert bench.pid("app") == pid
    changed = bench.origin.commit({"moved/app/index.js": PROGRAM.format(word="two")})
    bench.until(lambda: bench.applied(changed), "it rolls")
    assert bench.pid("app") != pid
    assert bench.atek("logs", "app").stdout.split() == ["one", "two"]


#: A node that dies by SIGKILL at its n-th step of one kind with a commit.
DYING = """
import os, signal, sys
from reconciler.gitops.repository import Repository
from reconciler.gitops.kept import KeptFile
from reconciler.gitops.source import GitManifests
from reconciler.drive.effects import Effects
where, count = sys.argv[1], int(sys.argv[2])
sys.argv[1:3] = []
owner, name = {
    "look": (Repository, "look"), "fetch": (Repository, "fetch"), "checkout": (Repository, "checkout"),
    "read": (GitManifests, "_read"), "write": (KeptFile, "write"), "show": (GitManifests, "_show"),
    "forget": (Repository, "forget"), "action": (Effects, "carry_out"),
}[where]
step = getattr(owner, name)
async def and_die(*words, **options):
    global count
    result = await step(*words, **options)
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, name, and_die)
from reconciler.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("look", 1), ("fetch", 1), ("checkout", 2), ("read", 2), ("write", 1), ("show", 2), ("forget", 1),
        ("action", 2), ("action", 4),
    ],
)  # fmt: skip
def test_killed_at_any_step_of_a_commit(bench: GitBench, where: str, count: int) -> None:
    first = bench.origin.commit({name: waits(name[0]) for name in ("a.json", "b.json", "c.json")})
    bench.up()
    bench.until(lambda: bench.applied(first), "the commit runs")
    b = bench.pid("b")
    bench.kill()
    second = bench.origin.commit(
        {"a.json": waits("a", value="2"), "c.json": None, "d.json": waits("d", value="2")}
    )
    bench.up(program=[sys.executable, "-c", DYING, where, str(count)], wait=False)
    assert bench.node and bench.node.wait(40) == -9
    bench.up()
    bench.until(lambda: bench.applied(second), "the next life converges")
    bench.until(lambda: len(bench.processes()) == 3, "nothing is left of what was pruned")
    assert bench.pid("b") == b
    told = {i["pid"] for each in bench.status()["services"] for i in each["instances"]}
    assert told == set(bench.processes())
    for pid in (bench.pid("a"), bench.pid("d")):
        assert b"VALUE=2" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_killed_between_two_commits_nothing_happens(bench: GitBench) -> None:
    first = bench.origin.commit({"a.json": waits("a")})
    bench.up()
    bench.until(lambda: bench.applied(first), "the commit runs")
    pid = bench.pid("a")
    bench.kill()
    bench.origin.path.rename(bench.root / "away")
    bench.up()
    bench.until(lambda: bench.source_condition() == ("False", "RepositoryNotFound"), "it is away")
    bench.until(lambda: bench.ready("a"), "it is adopted")
    assert bench.pid("a") == pid
    (bench.root / "away").rename(bench.origin.path)
    bench.until(lambda: bench.applied(first), "it is there again")
    assert bench.pid("a") == pid


#: A node that says at its end what it has imported.
TELLING = """
import sys
from reconciler.cli import main
code = main()
print("imported:", *sorted(each for each in sys.modules if each.startswith("reconciler.gitops")), flush=True)
sys.exit(code)
"""


def test_a_node_without_git_sources_has_nothing_of_them(bench: GitBench) -> None:
    (bench.home / "config.toml").write_text("coreServices = []\n")
    bench.declare("a")
    bench.up(program=[sys.executable, "-c", TELLING])
    bench.until(lambda: bench.ready("a"), "it is ready")
    assert "atek_services" in bench.metrics() and "atek_git" not in bench.metrics()
    assert bench.hook({}) == 404
    assert "there are no Git sources" in bench.atek("sync").stdout
    assert bench.stop() == 0
    (told,) = [line for line in bench.log().splitlines() if line.startswith("imported:")]
    assert told.split()[1:] == ["reconciler.gitops", "reconciler.gitops.port"]


PUSH = json.dumps({"ref": "refs/heads/main", "repository": {"full_name": "me/home"}}).encode()
GITHUB = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": "sha256=MARK"}
FORGEJO = {
    "X-Forgejo-Delivery": "2", "X-Forgejo-Event": "push", "X-Forgejo-Signature": "MARK",
    "X-Gitea-Signature": "MARK", "X-Hub-Signature-256": "sha256=MARK", "X-GitHub-Delivery": "2",
}  # fmt: skip
GITLAB = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET, "X-Gitlab-Event-UUID": "3"}


def test_hooks_of_servers(bench: GitBench) -> None:
    bench.configure(interval="1h", hookSecretFile="hook-secret")
    secret = bench.home / "hook-secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    commit = bench.origin.commit({"a.json": waits("a", value="0")})
    bench.up()
    bench.until(lambda: bench.applied(commit), "the commit runs")
    for value, headers in enumerate((GITHUB, FORGEJO, GITLAB), 1):
        commit = bench.origin.commit({"a.json": waits("a", value=str(value))})
        assert bench.hook(signed(headers, PUSH), PUSH) == 202
        bench.until(partial(bench.applied, commit), "the hook was heard")
        assert bench.hook(signed(headers, PUSH), PUSH) == 200
    assert bench.hook({}, PUSH) == 401
    assert bench.hook(signed(GITHUB, b"another body"), PUSH) == 401
    assert bench.hook(signed(GITHUB, PUSH), PUSH, "other") == 404
    assert bench.hook(signed(GITHUB, PUSH), PUSH, method="PUT") == 405
    assert bench.hook({}, b"") == 401
    assert bench.hook(signed(GITHUB, b"x" * 2**21), b"x" * 2**21) == 413
    assert 'atek_git_commits_total{source="home",outcome="applied"} 4' in bench.metrics()
    told = bench.atek("status").stdout + json.dumps(bench.status()) + bench.atek("events").stdout
    kept = "".join(
        path.read_text("utf-8", "replace") for path in (bench.home / "state").rglob("*") if path.is_file()
    )
    assert SECRET not in told + kept + bench.log()
    # A secret that others may read is none.
    secret.chmod(0o644)
    assert bench.hook(signed({**GITHUB, "X-GitHub-Delivery": "9"}, PUSH), PUSH) == 401
    assert "hook-secret" in bench.atek("events").stdout
