"""A service that has got another id: the way to its data that a person is told of leads there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import os, time
for folder in (".", os.environ["ATEK_DATA_DIR"]):
    with open(f"{folder}/notes.db", "a") as file:
        file.write(os.environ["WORD"])
    print(folder, open(f"{folder}/notes.db").read(), flush=True)
time.sleep(1000)
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def declare(bench: Bench, service_id: str) -> None:
    source = str(bench.root / "p")
    document = {
        "id": service_id, "source": source, "runtime": "python", "env": {"WORD": service_id[0]},
        "probes": {"readiness": "none"},
    }  # fmt: skip
    bench.write("service.json", json.dumps(document))


def test_what_it_kept_is_told_and_can_be_had(bench: Bench) -> None:
    package: Path = bench.root / "p"
    package.mkdir()
    (package / "main.py").write_text(PROGRAM)
    declare(bench, "notes")
    bench.up()
    bench.until(lambda: bench.ready("notes"), "it runs")
    declare(bench, "diary")
    bench.until(lambda: bench.condition("diary", "DataFound")[1] == "DataUnderOldId", "it is told")
    message = bench.condition("diary", "DataFound")[2]
    assert "data/notes" in message and "kept/notes" in message
    bench.until(lambda: bench.ready("diary"), "it runs")
    (bench.folder / "service.json").rename(bench.root / "away")
    bench.until(lambda: not bench.service("diary")["instances"] and not bench.processes(), "it has ended")
    bench.until(lambda: (bench.home / "kept/diary").exists(), "what it wrote is put by")
    for folder in ("data", "kept"):
        (bench.home / folder / "diary").rename(bench.root / folder)
        (bench.home / folder / "notes").rename(bench.home / folder / "diary")
    (bench.root / "away").rename(bench.folder / "service.json")
    bench.until(lambda: bench.ready("diary"), "it runs")
    assert bench.condition("diary", "DataFound") == ("", "", "")
    lines = bench.atek("logs", "diary").stdout.splitlines()[-2:]
    assert [line.rpartition(" ")[2] for line in lines] == ["nd", "nd"]
