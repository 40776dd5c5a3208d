"""What is remembered of programs that write into their own packages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler.decide.rewriting import Habit, Look
from reconciler.state.habits import HabitsFile

if TYPE_CHECKING:
    from pathlib import Path

NAME = os.fsdecode(b"caf\xe9.db")
HABIT = Habit(Look("/p:0123", {"run.sh": b"x\0\xff", NAME: b"f1"}, 3), own=frozenset({NAME}))


def test_the_next_life_has_what_this_one_found_out(tmp_path: Path) -> None:
    file = HabitsFile(tmp_path / "rewriting.json")
    assert file.read() == {}
    assert file.differs({"p": HABIT})
    file.write({"p": HABIT})
    assert not file.differs({"p": HABIT})
    again = HabitsFile(tmp_path / "rewriting.json")
    assert again.read() == {"p": HABIT}
    assert not again.differs({"p": HABIT})
    assert again.differs({})


def test_what_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    file = HabitsFile(tmp_path / "no folder" / "rewriting.json")
    file.write({"p": HABIT})
    assert file.differs({"p": HABIT})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 5000, '{"services": 1}', '{"services": {"p": {}}}',
     '{"services": {"p": {"digest": "", "generation": 0, "files": {"a": 1}, "own": []}}}',
     '{"services": {"p": {"digest": "", "generation": 0, "files": {"a": "no"}, "own": []}}}'],
)  # fmt: skip
def test_a_damaged_file_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    assert HabitsFile(tmp_path / "f").read() == {}
