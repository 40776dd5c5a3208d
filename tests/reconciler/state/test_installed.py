"""Keys and owners on disk, and what is left of them when the disk fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.state.installed import Installed, InstalledServices, Renaming

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

NOTES = Installed("a key", "alice", "^1")
DERIVED = {"key": "derived", "token": "secret"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def files(home: Path) -> list[Path]:
    return sorted((home / "state").iterdir())


async def test_what_was_put_is_there_in_the_next_life(home: Path) -> None:
    await InstalledServices(home).put("notes", NOTES)
    again = InstalledServices(home)
    assert again.get("notes") == NOTES
    assert (again.owner("notes"), again.data_owner("notes")) == ("alice", "alice")
    assert again.identity("notes", DERIVED) == {"key": "a key", "token": "secret", "owner": "alice"}
    assert [file.stat().st_mode & 0o777 for file in files(home)] == [0o600, 0o600]


async def test_others_belong_to_the_node(home: Path) -> None:
    empty = InstalledServices(home)
    assert empty.get("notes") is None
    assert (empty.owner("notes"), empty.data_owner("notes")) == ("system", "system")
    assert empty.identity("notes", DERIVED) == DERIVED | {"owner": "system"}
    assert (files(home), empty.problems) == ([], [])


async def test_uninstalled_services_leave_their_data_to_their_owner(home: Path) -> None:
    installed = InstalledServices(home)
    await installed.put("notes", NOTES)
    await installed.uninstall("notes")
    await installed.uninstall("nothing")
    for each in (installed, InstalledServices(home)):
        assert each.get("notes") is None
        assert (each.owner("notes"), each.data_owner("notes")) == ("system", "alice")
        assert each.identity("notes", DERIVED) == DERIVED | {"owner": "system"}


async def test_both_ids_have_the_key_while_a_service_is_renamed(home: Path) -> None:
    installed = InstalledServices(home)
    renaming = Renaming("notes", "diary", {"id": "diary"})
    await installed.begin_rename(renaming, NOTES)
    again = InstalledServices(home)
    assert again.renaming == renaming
    assert again.get("notes") == again.get("diary") == NOTES
    await again.end_rename()
    await again.end_rename()
    assert InstalledServices(home).renaming is None
    assert (InstalledServices(home).get("notes"), again.get("diary")) == (None, NOTES)
    await installed.take_back_rename()
    assert (InstalledServices(home).get("notes"), installed.get("diary")) == (NOTES, None)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\x00",
        b'{"services": {}}',
        b'{"services": {"notes": {"key": 5, "owner": "eve", "desired_version": ""}}, "renaming": null}',
        b'{"services": {"notes": {"owner": "eve"}}, "renaming": null}',
        b'{"services": {}, "renaming": {"old": "a"}}',
    ],
)
async def test_one_copy_is_enough(home: Path, which: int, damage: bytes) -> None:
    await InstalledServices(home).put("notes", NOTES)
    files(home)[which].write_bytes(damage)
    again = InstalledServices(home)
    assert again.get("notes") == NOTES
    assert again.problems == []
    await again.put("wiki", NOTES)
    texts = [json.loads(file.read_bytes()) for file in files(home) if file.suffix == ".json"]
    assert len(texts) == 2 and texts[0] == texts[1]


async def test_without_any_the_node_goes_on_and_says_so(home: Path) -> None:
    await InstalledServices(home).put("notes", NOTES)
    for file in files(home):
        file.write_bytes(b"half of a per")
    again = InstalledServices(home)
    assert again.get("notes") is None
    (problem,) = again.problems
    assert "installed.json and its copy are damaged" in problem
    await again.put("wiki", NOTES)
    # What a person may still mend is not written over.
    damaged = [file for file in files(home) if file.suffix == ".damaged"]
    assert [file.read_bytes() for file in damaged] == [b"half of a per"] * 2
    assert InstalledServices(home).problems == []


async def test_what_is_not_on_disk_is_not_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = InstalledServices(home)
    await installed.put("notes", NOTES)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reconciler.state.installed.write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        await installed.put("notes", Installed("other", "bob"))
    with pytest.raises(OSError, match="No space"):
        await installed.uninstall("notes")
    assert installed.get("notes") == NOTES
