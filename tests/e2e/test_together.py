"""The commands for working with other nodes, in the order in which a person meets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.members import Member
from tests.e2e.nodes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("together")

PROGRAM = (
    "require('http').createServer((_, answer) => answer.end('TEXT'))"
    ".listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)\n"
)


@pytest.fixture
def laptop() -> Iterator[Member]:
    node = Member("laptop", hold=PATIENCE)
    yield node
    node.close()


@pytest.fixture
def pi() -> Iterator[Member]:
    node = Member("pi")
    yield node
    node.close()


def acquaint(laptop: Member, pi: Member) -> None:
    for node in (laptop, pi):
        node.up()
    laptop.until(lambda: laptop.atek("key").returncode == 0, "its keys are known")
    pi.until(lambda: pi.atek("key").returncode == 0, "its keys are known")
    link = laptop.told("key", "--link").strip()
    assert link == laptop.keys()["link"] and link.startswith("hyper://")
    pi.told("follow", link, "--name", "laptop", "--trust", "own", "--ids", "hello*", "--allow-empty")
    laptop.follow(pi, "--status-only")


def push(laptop: Member, text: str) -> int:
    """Waits until the pi serves it; returns the version."""
    folder = laptop.root / "hello"
    folder.mkdir(exist_ok=True)
    (folder / "index.js").write_text(PROGRAM.replace("TEXT", text))
    told = laptop.told("push", str(folder), "--to", "pi", "--wait")
    assert "hello is ready on pi" in told
    first, *_ = told.splitlines()
    return int(first.split("version ")[1].split(":")[0])


def versions(node: Member) -> list[int]:
    return [entry["version"] for entry in json.loads(node.told("history", "--json"))]


def test_push_history_rollback_and_a_new_machine(laptop: Member, pi: Member) -> None:
    acquaint(laptop, pi)
    first = push(laptop, "one")
    one = pi.service("hello")["observedRevision"]
    second = push(laptop, "two")
    assert second > first and pi.service("hello")["observedRevision"] != one

    # What was, again: written forward, and told.
    laptop.told("rollback", "hello", "--to", str(first))
    pi.until(lambda: pi.service("hello")["observedRevision"] == one and pi.ready("hello"), "it is back")
    assert f"rollback to {first}" in laptop.told("history")
    assert versions(laptop)[:2] == [first, second] and len(versions(laptop)) == 3
    ahead = pi.atek("plan", "--at", str(second), "--node", "laptop")
    assert ahead.returncode != 0 and "hello" in ahead.stdout, "another package, which may be gone here"
    wrong = laptop.atek("rollback", "hello", "--to", "9999")
    assert wrong.returncode == 1 and wrong.stderr.startswith("atek: ") and "hint: " in wrong.stderr
    assert laptop.atek("plan", "--at", str(first)).returncode == 0

    # What nobody follows, and what is no link.
    for words in (
        ["unfollow", "nobody"],
        ["follow", "hyper://abc", "--name", "x"],
        ["status", "--node", "x"],
    ):
        done = laptop.atek(*words)
        assert done.returncode == 1 and done.stderr.startswith("atek: ") and "hint: " in done.stderr

    # The laptop's disk dies. A new one goes on where it was, from the backup and what the pi has.
    backup = laptop.root / "backup.json"
    laptop.told("backup", str(backup))
    assert backup.stat().st_mode & 0o777 == 0o600
    third = push(laptop, "three")
    assert laptop.atek("restore", str(backup)).returncode == 1, "the home is not empty"
    assert laptop.stop() == 0
    laptop.home.rename(laptop.root / "dead")
    laptop.told("restore", str(backup))
    laptop.up()
    laptop.until(lambda: third in versions(laptop), "what came after the backup is here")
    assert push(laptop, "four") > third

    # What is in the records stays there, whatever is ordered.
    manifest = laptop.root / "hello.yaml"
    folder = laptop.root / "hello"
    manifest.write_text(f"id: hello\nsource: {folder}\nnodes: [pi]\nenv: {{GREETING: five}}\n")
    before = pi.service("hello")["observedRevision"]
    assert laptop.told("apply", str(manifest)) == "hello configured\n"
    pi.until(lambda: pi.ready("hello") and pi.service("hello")["observedRevision"] != before, "it is applied")
    assert not (laptop.home / "manifests" / "hello.yaml").exists()
    for order, suspended in (("stop", True), ("start", False)):
        laptop.told(order, "hello")
        pi.until(lambda: pi.service("hello")["suspended"] is suspended, order)  # noqa: B023 - at once
    assert laptop.told("delete", "hello") == "hello deleted\n"
    pi.until(lambda: not pi.service("hello")["instances"], "it is deleted")
    push(laptop, "six")

    pi.told("unfollow", "laptop")
    pi.until(lambda: not pi.service("hello")["instances"], "nothing of the laptop is left")
