"""A node comes back from its backup where nobody has anything of it but that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hyper.core_services import ADB_ID, adb_service
from tests.e2e.members import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.xdist_group("restored"), pytest.mark.timeout(400)]

SERVICES = [f"s{number}" for number in range(2)]


@pytest.fixture
def node() -> Iterator[Member]:
    node = Member("laptop", hold=0.5)
    config = json.loads((node.home / "config.json").read_text())
    config["coreServices"].append(adb_service(socket=str(node.home / "hyper.sock")))
    (node.home / "config.json").write_text(json.dumps(config))
    yield node
    node.close()


def push(node: Member, service_id: str, text: str) -> None:
    manifest = node.root / f"{service_id}.json"
    about = {"command": ["sleep", "1000"], "env": {"TEXT": text}, "nodes": ["elsewhere"]}
    manifest.write_text(json.dumps({"id": service_id, **about}))
    node.told("push", str(manifest))


def come_back(node: Member) -> None:
    """As a new machine does: from the backup, without any follower."""
    backup = node.root / "backup.json"
    node.told("backup", str(backup))
    assert node.stop() == 0
    node.home.rename(node.root / "dead")
    node.told("restore", str(backup))
    node.up()
    node.until(lambda: node.ready(ADB_ID), "its database for apps is well")


def test_each_version_that_is_told_can_be_gone_back_to(node: Member) -> None:
    node.up()
    node.until(lambda: node.atek("key").returncode == 0, "its keys are known")
    for service_id in SERVICES:
        push(node, service_id, "one")
    come_back(node)
    push(node, "s1", "two")
    told = json.loads(node.told("history", "--json"))
    assert {each["id"] for entry in told for each in entry["services"]} == set(SERVICES)
    for entry in told:
        at = node.atek("plan", "--at", str(entry["version"]), "--json")
        assert at.returncode in (0, 2), at.stderr
    before = max(
        entry["version"] for entry in told[:-1] if "s1" in [each["id"] for each in entry["services"]]
    )
    node.told("rollback", "s1", "--to", str(before))
    assert "env.TEXT: two → one" in node.told("history", "s1")


def test_without_a_record_it_is_well_again(node: Member) -> None:
    node.up()
    node.until(lambda: node.ready(ADB_ID), "its database for apps is well")
    come_back(node)
