"""A program that writes into the folder that it runs in, on a real node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """#!/bin/sh
echo $$ > pid
echo started {edition}
while :; do date +%s%N > beat; sleep 0.2; done
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    folder.mkdir()
    edit(folder, 1)
    return folder


def edit(package: Path, edition: int) -> None:
    new = package / ".run.sh.swp"
    new.write_text(PROGRAM.format(edition=edition))
    new.chmod(0o755)
    new.rename(package / "run.sh")


def declare(bench: Bench, package: Path, **more: str) -> None:
    document = {
        "id": "p", "source": str(package), "runtime": "process", "command": ["./run.sh"],
        "probes": {"readiness": "none"}, **more,
    }  # fmt: skip
    bench.write("p.json", json.dumps(document))


def started(bench: Bench) -> list[str]:
    return bench.atek("logs", "p").stdout.splitlines()


def it_writes(bench: Bench, package: Path) -> None:
    beats = {(package / "beat").read_text()}

    def goes_on() -> bool:
        beats.add((package / "beat").read_text())
        return len(beats) > 10

    bench.until(goes_on, "it goes on writing")


def test_it_is_started_a_few_times_and_an_edit_is_taken(bench: Bench, package: Path) -> None:
    declare(bench, package)
    bench.up()
    bench.until(lambda: bench.condition("p", "Updatable")[1] == "RewritesItself", "it is told")
    message = bench.condition("p", "Updatable")[2]
    assert "beat" in message and "ATEK_DATA_DIR" in message
    assert "RewritesItself" in bench.atek("events").stdout
    count = len(started(bench))
    assert count <= 4
    edit(package, 2)
    bench.until(lambda: started(bench)[-1:] == ["started 2"], "the edit is taken")
    bench.until(lambda: bench.ready("p"), "it is ready")
    it_writes(bench, package)
    assert len(started(bench)) <= count + 2
    assert len(bench.processes()) <= 4


def test_plan_and_the_next_life_know_it_too(bench: Bench, package: Path) -> None:
    declare(bench, package)
    bench.up()
    bench.until(lambda: bench.condition("p", "Updatable")[1] == "RewritesItself", "it is told")
    bench.until(lambda: bench.ready("p"), "it is ready")

    def nothing_to_do() -> None:
        done = bench.atek("plan", str(bench.folder))
        assert done.returncode == 0, done.stdout
        assert "= p" in done.stdout and "beat" in done.stdout and "nothing would change" in done.stdout

    it_writes(bench, package)
    nothing_to_do()
    pid, count = bench.pid("p"), len(started(bench))
    bench.kill()
    it_writes(bench, package)
    nothing_to_do()
    bench.up()
    bench.until(lambda: bench.ready("p"), "it is ready")
    it_writes(bench, package)
    assert bench.pid("p") == pid and len(started(bench)) == count
    bench.kill()
    edit(package, 2)
    done = bench.atek("plan", str(bench.folder))
    assert done.returncode == 2 and "~ p: revision" in done.stdout


def test_in_place_nothing_of_it_counts(bench: Bench, package: Path) -> None:
    declare(bench, package, run="inPlace")
    bench.up()
    bench.until(lambda: bench.ready("p") and (package / "beat").exists(), "it runs and writes")
    edit(package, 2)
    bench.until(lambda: started(bench)[-1:] == ["started 2"], "the edit is taken")
    bench.until(lambda: bench.ready("p"), "it is ready")
    assert started(bench) == ["started 1", "started 2"]
    assert bench.condition("p", "Updatable") == ("", "", "")
