"""What the trials rely on: processes are found whatever they do to hide, and the table tells all."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.programs.table import Row, table
from tests.programs.traces import still_there, touching, tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("words", [[], ["setsid"], ["env", "-i"], ["setsid", "env", "-i"]])
def test_who_hides_is_found(tmp_path: Path, words: list[str]) -> None:
    assert touching(tmp_path) == {}
    process = subprocess.Popen(
        [*words, sys.executable, "-c", "print(flush=True); input()"],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout and process.stdout.readline()
        (found,) = touching(tmp_path)
        members = tree(process.pid)
        assert found in members and found in still_there(members)
        process.communicate(b"\n")
    assert touching(tmp_path) == {} and still_there(members) == {}


def test_the_table_has_failures_last_and_says_why() -> None:
    rows = [
        Row(program="A", version="1", steps=["installed"], failure="answers: 502 a|b", seconds=3.2),
        Row(program="b", version="2", steps=["installed", "answers"], failure="", seconds=1.0),
    ]
    lines = table(rows).splitlines()
    assert lines[2] == "| b | 2 | installed, answers | 1 | ok |"
    assert lines[3] == "| A | 1 | installed | 3 | failed: answers: 502 a\\|b |"
    assert lines[-1] == "1 of 2 programs"
