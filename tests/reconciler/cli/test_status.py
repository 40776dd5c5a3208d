"""`atek status`: the table, the JSON, and looking on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.service_table import for_people, seconds_since_epoch
from tests.reconciler.cli.atek import Atek, running_node
from tests.reconciler.fakes import FakeNode, condition, service, source, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def node(atek: Atek) -> Iterator[FakeNode]:
    fake = FakeNode()
    with running_node(atek.home, fake):
        yield fake


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_table(atek: Atek, node: FakeNode) -> None:
    node.add(
        service("notes", restarts=3),
        service("wiki", ready=False, message="prepares", observedRevision=None),
        service("mail", desiredRevision="ddddeeeeffff"),
        stopped(service("old")),
    )
    header, notes, wiki, mail, old = cells(atek("status").out)
    assert header == ["ID", "RUNTIME", "READY", "RESTARTS", "PID", "REVISION", "AGE", "MESSAGE"]
    assert notes == ["notes", "python", "yes", "3", "4242", "aaaabbbb", "1m"]
    assert wiki[2:] == ["no", "0", "4242", "-", "→", "aaaabbbb", "1m", "Starting:", "prepares"]
    assert mail[5:8] == ["aaaabbbb", "→", "ddddeeee"]
    assert old[4:] == ["-", "aaaabbbb", "-", "Suspended:", "stopped", "on", "request"]


def test_what_a_service_may_is_told_of_the_one_that_is_asked_about(atek: Atek, node: FakeNode) -> None:
    may = [{"what": "call", "how": "no API"}, {"what": "reach", "how": "\x1b[31manything"}]
    node.add(service("notes", may=may))
    lines = atek("status", "notes").out.splitlines()
    assert lines[lines.index("may:") + 1] == "    call: no API"
    assert "\x1b" not in lines[-1] and "reach: " in lines[-1]
    assert "may:" not in atek("status").out


def test_a_stalled_service_says_why(atek: Atek, node: FakeNode) -> None:
    stalled = service("notes", ready=False)
    stalled["conditions"] = [
        condition("Ready", "True", "Ready", "the previous revision serves"),
        condition("Stalled", "True", "InstallFailed", "npm ended with 1"),
    ]
    node.add(stalled)
    assert atek("status").out.splitlines()[1].endswith("InstallFailed: npm ended with 1")


def test_replicas_and_services_without_a_package(atek: Atek, node: FakeNode) -> None:
    many = [service("a")["instances"][0] | {"pid": pid} for pid in range(1, 6)]
    node.add(service("a", instances=many))
    node.add(service("b", runtime=None, instances=[], desiredRevision=None, observedRevision=None))
    _, first, second = cells(atek("status").out)
    assert first[4] == "1,2,3,+2"
    assert second[:7] == ["b", "-", "yes", "0", "-", "-", "-"]


def test_troubles_of_sources_come_beneath(atek: Atek, node: FakeNode) -> None:
    problem = {"message": "bad \x1b[2Jkey", "file": "a.yaml", "line": 3, "key": "prot", "hint": "port?"}
    node.sources = [
        source("home", problems=[problem], error="x", conflicts=[{"id": "a", "winner": "c", "loser": "f"}]),
        source("git", error="cannot be fetched"),
    ]
    assert atek("status").out.splitlines() == [
        "no services yet: `atek apply FILE` adds one",
        "",
        "source home: a.yaml:3: prot: bad key (port?)",
        "a is declared twice: c wins over f",
        "source git: cannot be fetched",
    ]


def test_an_api_that_another_service_has_is_told(atek: Atek, node: FakeNode) -> None:
    lost = condition("ExportsServed", "False", "ExportConflict", "example.com/notes is served by wiki")
    notes = service("notes")
    node.add(notes | {"conditions": [*notes["conditions"], lost]}, service("wiki"))
    assert atek("status").out.splitlines()[3:] == [
        "",
        "notes exports in vain: example.com/notes is served by wiki",
    ]


def test_a_service_that_stays_behind_its_releases_is_told(atek: Atek, node: FakeNode) -> None:
    notes = service("notes")
    notes["conditions"].append(condition("Updatable", "False", "KeepsCommit", "stays at commit 1a2b"))
    node.add(notes)
    assert atek("status").out.splitlines()[-1] == "notes stays at commit 1a2b"
    assert atek("status", "notes").out.splitlines()[-1] == "KeepsCommit: stays at commit 1a2b"


def test_control_characters_do_not_reach_the_terminal(atek: Atek, node: FakeNode) -> None:
    node.add(service("notes", message="\x1b]0;owned\x07\x1b[2Jfine\nnext"))
    out = atek("status").out
    assert "\x1b" not in out and "\x07" not in out
    assert len(out.splitlines()) == 2


def test_json_is_the_nodes_own_status(atek: Atek, node: FakeNode) -> None:
    node.add(service("notes"), service("wiki"))
    node.sources = [source("home", services=("notes", "wiki"))]
    value = json.loads(atek("status", "--json").out)
    assert set(value) == {"node", "services", "sources"}
    assert [entry["id"] for entry in value["services"]] == ["notes", "wiki"]
    assert value["services"][0]["instances"][0]["pid"] == 4242
    one = json.loads(atek("status", "wiki", "--json").out)
    assert [entry["id"] for entry in one["services"]] == ["wiki"]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_watching_prints_each_change(atek: Atek, words: list[str]) -> None:
    fake = FakeNode()
    fake.add(service("notes", ready=False))
    command = [sys.executable, "-m", "reconciler.cli", "status", "--watch", "--home", str(atek.home), *words]
    with running_node(atek.home, fake):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        while "Starting" not in process.stdout.readline():
            pass
        fake.add(service("notes", message="all is well"))
        fake.emit("notes", "Ready")
        while "all is well" not in process.stdout.readline():
            pass
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith("atek: the node ended")


def test_ages() -> None:
    assert [for_people(s) for s in (-1, 59.9, 60, 7200, 200_000)] == ["0s", "59s", "1m", "2h", "2d"]
    assert seconds_since_epoch("1970-01-01T00:01:00Z") == 60
    assert seconds_since_epoch(time.time()) > 1e9


def test_addresses_are_in_the_table_and_all_of_them_by_id(atek: Atek, node: FakeNode) -> None:
    found = ["http://notes.localhost:2835/", "tcp://127.0.0.1:1883"]
    node.add(service("notes", addresses=found), service("cron", addresses=[]))
    header, notes, cron = cells(atek("status").out)
    assert header[-2:] == ["ADDRESS", "MESSAGE"]
    assert (notes[-1], cron[-1]) == (found[0], "-")
    assert [line for line in atek("status", "notes").out.splitlines() if line.startswith("address: ")] == [
        f"address: {each}" for each in found
    ]
