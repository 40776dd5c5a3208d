"""Every id keeps its number, and nobody gets one that something still belongs to."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from runtimes.base import RuntimeFailure
from runtimes.users.numbers import Numbers
from runtimes.users.ranges import UserRange, parse_user_range
from tests.runtimes.users.conftest import USERS, root_only

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("state", "data", "packages"):
        (tmp_path / folder).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "text", ["", "700000", "a-b", "0-10", "1000-2000", "9-8", "800000-700000", "1-99999999999"]
)
def test_a_range_is_two_numbers_that_nobody_else_has(text: str) -> None:
    with pytest.raises(ValueError, match="users is a range"):
        parse_user_range(text)
    assert str(parse_user_range(" 700000-765535 ")) == "700000-765535"
    assert 65534 not in UserRange(60000, 70000)


def test_each_id_has_its_own_number_for_ever(home: Path) -> None:
    numbers = Numbers(home, USERS)
    found = {name: numbers.of(name) for name in ("a", "b", "c")}
    assert len(set(found.values())) == 3 and all(each in USERS for each in found.values())
    assert Numbers(home, USERS).known() == found
    assert (home / "state/users.json").stat().st_mode & 0o777 == 0o600
    assert {name: Numbers(home, USERS).of(name) for name in ("c", "a", "b")} == found


def test_a_number_is_on_disk_before_anybody_has_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    numbers = Numbers(home, USERS)
    monkeypatch.setattr("runtimes.users.numbers.write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        numbers.of("a")
    monkeypatch.undo()
    assert numbers.known() == {} and numbers.of("a") == USERS.first


def test_a_range_that_is_used_up_is_told(home: Path) -> None:
    numbers = Numbers(home, UserRange(USERS.first, USERS.first + 3))
    numbers.of("a"), numbers.of("b")
    with pytest.raises(RuntimeFailure, match="are taken"):
        numbers.of("c")
    assert numbers.of("a") == USERS.first


@root_only
@pytest.mark.parametrize("damage", [b"{", b'{"numbers": [1]}', b'{"numbers": {"a": "x"}}', None])
def test_without_the_file_data_says_whose_it_is(home: Path, damage: bytes | None) -> None:
    numbers = Numbers(home, USERS)
    found = {name: numbers.of(name) for name in ("a", "b", "gone")}
    for name in ("a", "b"):
        (home / "data" / name).mkdir()
        os.chown(home / "data" / name, found[name], found[name])
    (home / "packages/gone").mkdir()
    os.chown(home / "packages/gone", found["gone"], 0)
    file = home / "state/users.json"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    again = Numbers(home, USERS)
    assert {name: again.of(name) for name in ("a", "b")} == {name: found[name] for name in ("a", "b")}
    # Nothing says that the third one had it, but something still is its.
    assert again.of("new") not in found.values()
    assert bool(again.problems) is (damage is not None)


@root_only
def test_two_that_claim_one_number_have_it_neither_of_them(home: Path) -> None:
    for name in ("a", "b"):
        (home / "data" / name).mkdir()
        os.chown(home / "data" / name, USERS.first, USERS.first)
    (home / "state/users.json").write_text(json.dumps({"numbers": {"a": USERS.first, "b": USERS.first}}))
    numbers = Numbers(home, USERS)
    assert len({numbers.of("a"), numbers.of("b"), USERS.first}) == 3
