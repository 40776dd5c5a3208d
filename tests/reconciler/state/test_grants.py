"""What was granted, on the disk: kept, private, and nothing at all where it cannot be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.state.grants import GrantsFile

if TYPE_CHECKING:
    from pathlib import Path

OWNER = "follow:4f"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def test_what_is_granted_is_kept_for_one_owner_and_service(home: Path) -> None:
    grants = GrantsFile(home)
    assert grants.of(OWNER, "notes") == frozenset() and grants.all() == {}
    grants.put(OWNER, "notes", ["b", "a"])
    grants.put(OWNER, "wiki", ["c"])
    again = GrantsFile(home)
    assert again.of(OWNER, "notes") == {"a", "b"} and not again.problems
    assert again.of("follow:9a", "notes") == again.of(OWNER, "other") == frozenset()
    assert (home / "state" / "grants").stat().st_mode & 0o777 == 0o600
    again.put(OWNER, "notes", ())
    assert GrantsFile(home).all() == {(OWNER, "wiki"): frozenset({"c"})}
    again.forget(OWNER)
    assert GrantsFile(home).all() == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"grants": 1}', '{"grants": [{"owner": "o", "service": "s"}]}',
             '{"grants": [{"owner": "o", "service": "s", "rights": [1]}]}', "\0" * 100],
)  # fmt: skip
def test_a_damaged_file_grants_nothing_and_is_set_aside(home: Path, text: str) -> None:
    file = home / "state" / "grants"
    file.write_text(text)
    grants = GrantsFile(home)
    assert grants.all() == {} and "nothing counts as granted" in grants.problems[0]
    assert file.read_text() == text
    grants.put(OWNER, "notes", ["a"])
    assert GrantsFile(home).of(OWNER, "notes") == {"a"}
    assert text in [each.read_text() for each in (home / "state").iterdir() if each != file]


def test_what_cannot_be_written_is_not_granted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grants = GrantsFile(home)
    grants.put(OWNER, "notes", ["a"])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reconciler.state.grants.write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        grants.put(OWNER, "notes", ["a", "b"])
    assert grants.of(OWNER, "notes") == {"a"}
    assert len(json.loads((home / "state" / "grants").read_text())["grants"]) == 1
