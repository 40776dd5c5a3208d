"""Secrets in records and repositories: they travel encrypted, and who follows says who has them decrypted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_git_source import GitBench
from tests.manifests.sops.sealed import sealed

if TYPE_CHECKING:
    from tests.e2e.members import Member
    from tests.e2e.nodes import Bench

pytestmark = pytest.mark.xdist_group("members")

SECRET = "a-secret-of-two-nodes"


def environment(node: Bench) -> dict[str, str]:
    data = Path(f"/proc/{node.pid('app')}/environ").read_bytes().decode()
    return dict(each.split("=", 1) for each in data.split("\0") if "=" in each)


def test_a_record_s_secrets_lie_in_its_package(pair: tuple[Member, Member]) -> None:
    laptop, pi = pair
    for node in pair:
        node.up()
    recipients = [node.told("key", "--recipient").strip() for node in pair]
    folder = laptop.root / "app"
    folder.mkdir()
    (folder / "index.js").write_text("setInterval(() => {}, 1000)\n")
    (folder / "secrets.yaml").write_bytes(sealed("yaml", f"api: {SECRET}\n", *recipients))
    (folder / "atek.yaml").write_text(
        "id: app\nprobes: {readiness: none}\nsecrets: {API_KEY: {file: secrets.yaml, key: api}}\n"
    )
    laptop.until(lambda: laptop.atek("push", str(folder)).returncode == 0, "it is pushed")
    laptop.until(lambda: laptop.ready("app"), "it runs where it was written")
    assert environment(laptop)["API_KEY"] == SECRET

    others = ("--trust", "foreign", "--sandbox", "none")
    pi.follow(laptop, *others)
    laptop.follow(pi, "--status-only")
    told = "nothing is decrypted here for a service of another node"
    pi.until(lambda: told in pi.atek("status").stdout, "it says so")
    pi.follow(laptop, *others, "--secrets")
    pi.until(lambda: pi.ready("app"), "it runs there, too")
    assert environment(pi)["API_KEY"] == SECRET

    for node in pair:
        assert SECRET not in node.told("history") + node.told("status", "--json") + node.told("events")
        inside = (path for path in node.home.rglob("*") if path.is_file() and not path.is_symlink())
        assert [path for path in inside if SECRET.encode() in path.read_bytes()] == []


def test_a_repository_s_secrets_are_those_of_the_commit() -> None:
    node = GitBench(interval="1s")
    try:
        recipient = node.atek("key", "--recipient").stdout.strip()
        manifest = (
            "id: app\ncommand: [sleep, '1000']\nprobes: {readiness: none}\n"
            "secrets:\n  API_KEY: {file: ../keys/secrets.yaml, key: api}\n  BARE: {file: bare.env, key: A}\n"
        )
        files = {"apps/app.yaml": manifest, "apps/bare.env": "A=1\n"}
        first = node.origin.commit({**files, **keys(SECRET, recipient)})
        node.up()
        node.until(lambda: node.applied(first), "the commit runs")
        assert environment(node)["API_KEY"] == SECRET
        assert "bare.env is not encrypted" in node.log()

        second = node.origin.commit(keys("another-one", recipient))
        node.until(lambda: node.applied(second), "the next commit runs")
        node.until(lambda: environment(node)["API_KEY"] == "another-one", "with the secret of that commit")
        outside = manifest.replace("../keys/secrets.yaml", "../../../../../../../../etc/hostname")
        node.origin.commit({"apps/app.yaml": outside.replace(", key: api", "")})
        node.until(lambda: node.condition("app", "Stalled")[1] == "SecretForbidden", "it is refused")
        assert environment(node)["API_KEY"] == "another-one"
        inside = (path for path in node.home.rglob("*") if path.is_file() and not path.is_symlink())
        assert [path for path in inside if SECRET.encode() in path.read_bytes()] == []
    finally:
        node.close()


def keys(text: str, recipient: str) -> dict[str, str | None]:
    return {"keys/secrets.yaml": sealed("yaml", f"api: {text}\n", recipient).decode()}
