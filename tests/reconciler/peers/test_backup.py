"""A backup is whole, for its owner alone, and goes only into an empty home."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import UserError
from reconciler.peers.backup import FORMAT, VERSION, home_backup, read_backup, restore, write_backup

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "old"
    for folder in ("state/services", "manifests", "data/notes"):
        (home / folder).mkdir(parents=True)
    (home / "state/node.secret").write_bytes(bytes(range(32)))
    (home / "state/follows.json").write_text('{"follows": []}')
    (home / "config.toml").write_text('name = "pi"\n')
    (home / "manifests/notes.yaml").write_text("id: notes\ncommand: [sleep, '9']\n")
    (home / "data/notes/private").write_text("not for a backup")
    return home


def backup_of(home: Path) -> dict[str, Any]:
    store = {"keys": {"primaryKey": "a" * 64}, "databases": []}
    about = {"format": FORMAT, "version": VERSION, "createdAt": "2025-01-02T03:04:05Z", "name": "pi"}
    return {**about, **store, **home_backup(home)}


def test_there_and_back(home: Path, tmp_path: Path) -> None:
    file, new = tmp_path / "backup.json", tmp_path / "new"
    write_backup(file, backup_of(home))
    assert file.stat().st_mode & 0o777 == 0o600
    restore(new, read_backup(file))
    assert new.stat().st_mode & 0o777 == 0o700
    for name in ("config.toml", "manifests/notes.yaml", "state/follows.json", "state/node.secret"):
        assert (new / name).read_bytes() == (home / name).read_bytes()
        assert (new / name).stat().st_mode & 0o777 == 0o600
    assert json.loads((new / "state/restore.json").read_text())["keys"]["primaryKey"] == "a" * 64
    assert not (new / "data").exists()


def test_a_home_with_anything_in_it_is_refused_and_left_alone(home: Path, tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "mine").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        restore(used, backup_of(home))
    assert [each.name for each in used.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "manifests/../../x.yaml", "/x.yaml", "state/admin.token"]
)
def test_a_backup_writes_nowhere_but_where_it_belongs(home: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / "backup.json"
    value = backup_of(home)
    value["files"][name] = "x"
    file.write_text(json.dumps(value))
    with pytest.raises(UserError, match="damaged"):
        read_backup(file)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "atek-backup", "version": 99}'])
def test_what_is_no_backup_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "backup.json"
    file.write_text(text)
    with pytest.raises(UserError):
        read_backup(file)
    with pytest.raises(UserError, match="there is no"):
        read_backup(tmp_path / "absent")
