"""A program that keeps its database beside its code: nothing of it is lost, whatever happens to the code."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import PATIENCE
from tests.e2e.test_kill_nine import DYING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.nodes import Bench

#: Notes in its database that this edition was started, and waits.
PROGRAM = """
import sqlite3, sys, time
with sqlite3.connect("journal.db") as db:
    db.execute("pragma journal_mode = wal")
    db.execute("create table if not exists starts (edition)")
    db.execute("insert into starts values (?)", ({edition!r},))
{then}
"""


@pytest.fixture
def package(bench: Bench) -> Path:
    folder = bench.root / "package"
    folder.mkdir()
    return folder


def edit(package: Path, edition: str, then: str = "time.sleep(1000)") -> None:
    (package / "main.py").write_text(PROGRAM.format(edition=edition, then=then))


def declare(bench: Bench, package: Path) -> None:
    document = {
        "id": "app", "source": str(package), "probes": {"readiness": "none"},
        "update": {"healthyDeadline": "4s"},
    }  # fmt: skip
    bench.write("app.json", json.dumps(document))


def journal(bench: Bench) -> list[str]:
    """As the program that runs would read it."""
    place = os.readlink(f"/proc/{bench.pid('app')}/cwd")
    with closing(sqlite3.connect(f"{place}/journal.db")) as connection:
        return [edition for (edition,) in connection.execute("select edition from starts")]


def serves(bench: Bench, package: Path, edition: str) -> None:
    """That edition runs and is ready, and it is the only one."""

    def is_there() -> bool:
        service = bench.service("app")
        if len(service["instances"]) != 1 or not bench.ready("app"):
            return False
        return journal(bench)[-1] == edition

    bench.until(is_there, f"edition {edition} serves")
    assert len(bench.processes()) == 1


def test_a_database_beside_the_code(bench: Bench, package: Path) -> None:
    edit(package, "1")
    declare(bench, package)
    bench.up()
    serves(bench, package, "1")

    for edition in ("2", "3"):
        edit(package, edition)
        serves(bench, package, edition)
    assert journal(bench) == ["1", "2", "3"]

    # A power cut, as far as programs are concerned.
    pid = bench.pid("app")
    bench.kill()
    os.kill(pid, signal.SIGKILL)
    bench.up()
    serves(bench, package, "3")
    assert journal(bench) == ["1", "2", "3", "3"]

    told = bench.atek("status", "app").stdout
    assert "kept beside its code: " in told
    assert "journal.db" in told and "$ATEK_DATA_DIR" in told
    assert "update: recreate, because it keeps files beside its code (journal.db)" in told
    kept = json.loads(bench.atek("status", "app", "--json").stdout)["services"][0]["kept"]
    assert kept["names"][0] == "journal.db" and kept["size"] > 0

    # What a revision wrote that never became healthy is nobody's.
    edit(package, "bad", "sys.exit(1)")
    bench.until(lambda: bench.condition("app", "Stalled")[0] == "True", "the bad edition is given up")
    serves(bench, package, "3")
    assert journal(bench) == ["1", "2", "3", "3", "3"]

    # A rollback is an edit like any other.
    edit(package, "2")
    serves(bench, package, "2")
    assert journal(bench) == ["1", "2", "3", "3", "3", "2"]

    (bench.folder / "app.json").unlink()
    bench.until(lambda: not bench.service("app")["instances"], "it is deleted")
    bench.until(lambda: not (bench.home / "packages/app").exists(), "so are its copies")
    edit(package, "4")
    declare(bench, package)
    serves(bench, package, "4")
    assert journal(bench) == ["1", "2", "3", "3", "3", "2", "4"]


@pytest.mark.parametrize("kind", ["Look", "Stop", "Start"])
def test_kill_nine_of_the_node_in_the_middle_of_an_edit(bench: Bench, package: Path, kind: str) -> None:
    edit(package, "1")
    declare(bench, package)
    bench.up()
    serves(bench, package, "1")
    bench.kill()
    bench.up(program=[sys.executable, "-c", DYING, kind, "1"])
    serves(bench, package, "1")
    edit(package, "2")
    assert bench.node
    bench.node.wait(PATIENCE)
    bench.up()
    serves(bench, package, "2")
    assert journal(bench) == ["1", "2"]
