"""The files of the Hypercore store are damaged under a real node: it runs on, and says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hyper.core_services import HYPER_ID
from tests.e2e.members import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("members")


@pytest.fixture
def node() -> Iterator[Member]:
    node = Member("pi")
    try:
        node.declare("local")
        node.up()
        node.until(lambda: node.ready("local", HYPER_ID), "both run")
        yield node
    finally:
        node.close()


def test_a_node_whose_store_is_damaged_starts_and_says_so_and_is_whole_when_the_store_is(
    node: Member,
) -> None:
    folder = node.root / "app"
    folder.mkdir()
    (folder / "index.js").write_text("setInterval(() => {}, 1000)\n")
    (folder / "atek.yaml").write_text("id: app\nprobes: {readiness: none}\n")
    node.told("push", str(folder))
    node.until(lambda: node.ready("app"), "the record runs")
    assert node.stop() == 0
    current = node.home / "hyper" / "db" / "CURRENT"
    whole = current.read_bytes()
    current.write_bytes(b"")
    node.up()
    node.until(lambda: node.ready("local", "app"), "what is known runs without the daemon")
    node.until(lambda: node.condition(HYPER_ID)[1] == "CrashLoopBackOff", "the daemon is tried again, later")
    doctor = node.atek("doctor").stdout
    assert "is damaged: CURRENT file does not end with newline" in doctor and "atek restore" in doctor
    records = next(each for each in node.status()["sources"] if each["name"] == "records")
    assert {each["reason"] for each in records["conditions"]} == {"StoreAway"}
    failed = node.atek("push", str(folder))
    assert failed.returncode == 1 and "daemon" in failed.stderr
    current.write_bytes(whole)
    node.told("start", HYPER_ID)
    node.until(lambda: node.ready(HYPER_ID), "it opens its store")
    node.until(lambda: "nothing is known against it" in node.atek("doctor").stdout, "and the doctor knows")
    (folder / "index.js").write_text("setInterval(() => {}, 2000)\n")
    node.told("push", str(folder), "--wait")
    history = node.told("history", "app")
    assert "app created" in history and "app changed" in history, "nothing of before is lost"
