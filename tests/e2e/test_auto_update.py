"""Releases that are taken by themselves on a real node, and given back when they do not work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.nodes import Bench
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVES = """
require('http').createServer().listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
console.log('this is ' + require('./package.json').version)
"""
BROKEN = "console.log('this is broken'); process.exit(1)\n"
KEEPS = f"require('fs').writeFileSync(process.env.ATEK_DATA_DIR + '/notes.db', 'x')\n{SERVES}"


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def notes(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "notes")


def release(notes: Repository, version: str, program: str) -> None:
    package = json.dumps({"name": "notes", "version": version, "main": "index.js"})
    notes.commit({"package.json": package, "index.js": program}, tag=f"v{version}")


def declare(bench: Bench, notes: Repository, **rest: Any) -> None:
    rule = {"schedule": "1s", **rest}
    update = {"healthyDeadline": "3s"}
    document = {"id": "notes", "source": str(notes.path), "update": update, "autoUpdate": rule}
    bench.write("notes.json", json.dumps(document))


def said(bench: Bench) -> list[str]:
    return [line for line in bench.atek("logs", "notes").stdout.splitlines() if "this is" in line]


def events(bench: Bench) -> str:
    return bench.atek("events").stdout


def serves(bench: Bench, version: str) -> bool:
    """Whether that release does, and is not on trial any more."""
    service = bench.service("notes")
    current = service["observedRevision"] == service.get("desiredRevision")
    kept = json.loads((bench.home / "state" / "updates.json").read_text())["services"]["notes"]
    last = [line for line in said(bench) if "broken" not in line][-1:]
    return bench.ready("notes") and current and not kept["trial"] and f"this is {version}" in str(last)


def test_it_is_taken_given_back_and_remembered(bench: Bench, notes: Repository) -> None:
    release(notes, "1.0.0", SERVES)
    declare(bench, notes)
    bench.up()
    bench.until(lambda: bench.ready("notes"), "the first one serves")
    release(notes, "1.1.0", SERVES)
    bench.until(lambda: "from 1.0.0 to 1.1.0" in events(bench) and serves(bench, "1.1.0"), "1.1.0 is taken")
    release(notes, "1.2.0", BROKEN)
    bench.until(lambda: bench.condition("notes", "Updatable")[1] == "Reverted", "1.2.0 is given back")
    bench.until(lambda: serves(bench, "1.1.0"), "1.1.0 serves")
    told = bench.condition("notes", "Updatable")[2]
    assert "1.2.0 did not work" in told and "1.1.0 is back" in told
    assert bench.condition("notes", "Stalled")[0] == "False"
    bench.kill()
    tried = said(bench).count("this is broken")
    bench.up()
    bench.until(lambda: bench.ready("notes"), "it serves in the next life")
    looked = json.loads((bench.home / "state" / "updates.json").read_text())["services"]["notes"]["looked"]

    def looked_since() -> bool:
        kept = json.loads((bench.home / "state" / "updates.json").read_text())["services"]["notes"]
        return bool(kept["looked"] > looked + 2)

    bench.until(looked_since, "the server was asked several times")
    assert bench.condition("notes", "Updatable")[1] == "Reverted"
    assert said(bench).count("this is broken") == tried, "it is not tried again"
    release(notes, "1.2.1", SERVES)
    bench.until(lambda: serves(bench, "1.2.1"), "1.2.1 is taken")
    assert bench.condition("notes", "Updatable") == ("", "", "")
    assert bench.stop() == 0


def test_killed_while_it_is_on_trial_it_is_given_back_all_the_same(bench: Bench, notes: Repository) -> None:
    release(notes, "1.0.0", SERVES)
    declare(bench, notes)
    bench.up()
    bench.until(lambda: bench.ready("notes"), "the first one serves")
    release(notes, "1.1.0", BROKEN)
    bench.until(lambda: "this is broken" in str(said(bench)), "it is tried")
    bench.kill()
    bench.up()
    bench.until(lambda: bench.condition("notes", "Updatable")[1] == "Reverted", "it is given back")
    bench.until(lambda: serves(bench, "1.0.0"), "the first one serves")


def test_where_data_is_kept_somebody_is_asked(bench: Bench, notes: Repository) -> None:
    release(notes, "1.0.0", KEEPS)
    declare(bench, notes)
    bench.up()
    bench.until(lambda: bench.ready("notes"), "the first one serves")
    assert "no release waits" in bench.atek("update").stdout
    release(notes, "1.1.0", KEEPS)
    bench.until(lambda: bench.condition("notes", "Updatable")[1] == "UpdateAvailable", "it waits")
    assert "1.1.0 is there" in bench.condition("notes", "Updatable")[2]
    assert "notes.db" in bench.condition("notes", "Updatable")[2]
    (waiting,) = json.loads(bench.atek("update", "--json").stdout)
    assert (waiting["id"], waiting["installed"], waiting["available"]) == ("notes", "1.0.0", "1.1.0")
    assert set(said(bench)) and all("1.0.0" in line for line in said(bench))
    assert "from 1.0.0 to 1.1.0" in bench.atek("update", "notes").stdout
    bench.until(lambda: serves(bench, "1.1.0"), "it is taken")
    assert "nothing newer than 1.1.0" in bench.atek("update", "notes").stdout
    # What the new program may have written may not fit the one before: it is not taken back by itself.
    release(notes, "1.2.0", BROKEN)
    assert "from 1.1.0 to 1.2.0" in bench.atek("update", "notes").stdout
    bench.until(lambda: bench.condition("notes", "Updatable")[1] == "UpdateFailed", "it says so")
    assert "version: 1.1.0" in bench.condition("notes", "Updatable")[2]
    assert bench.atek("update", "nobody").returncode == 1
