"""The file of devices: nobody is in it by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.remote.devices import Device, DevicesFile

if TYPE_CHECKING:
    from pathlib import Path

KEY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def test_what_was_written_is_read_again(home: Path) -> None:
    file = DevicesFile(home)
    file.put(Device(KEY, "laptop", "bob", paired=1.0))
    file.seen({KEY: 5.0, OTHER: 5.0})
    assert DevicesFile(home).all() == {KEY: Device(KEY, "laptop", "bob", 1.0, 5.0)}
    file.seen({KEY: 4.0})
    assert DevicesFile(home).all()[KEY].seen == 5.0
    file.remove(KEY)
    assert DevicesFile(home).all() == {}
    assert (home / "state" / "devices.json").stat().st_mode & 0o777 == 0o600


def test_two_devices_have_two_names_and_one_that_comes_again_keeps_its_own(home: Path) -> None:
    file = DevicesFile(home)
    assert file.put(Device(KEY, "laptop")).name == "laptop"
    assert file.put(Device(OTHER, "laptop")).name == "laptop-2"
    assert file.put(Device(KEY, "laptop")).name == "laptop"


@pytest.mark.parametrize("text", ["{", "[]", '{"devices": [{"key": 1, "name": "x"}]}', '{"devices": [{}]}'])
def test_a_damaged_file_lets_nobody_in_and_is_kept_aside(home: Path, text: str) -> None:
    path = home / "state" / "devices.json"
    path.write_text(text)
    file = DevicesFile(home)
    assert file.all() == {}
    assert "damaged" in file.problems[0]
    file.put(Device(KEY, "laptop"))
    assert path.with_suffix(".damaged").read_text() == text
