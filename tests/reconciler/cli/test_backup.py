"""`atek backup`, `restore` and `repair`: a node in a file, a home from it, and a log that was forked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from manifests.sops.age import new_identity
from reconciler.state.store import Remembered
from tests.reconciler.cli.atek import Atek
from tests.reconciler.fake_nodes import Pair, running_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = bytes(range(32))
AGE_KEY = f"# its identity\n{new_identity()}\n"
CONFIG = 'name = "pi"\n'


@pytest.fixture
def new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Atek:
    """For a home that is not there yet."""
    return Atek(tmp_path / "deep" / "new", capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.backup"


@pytest.fixture
def pair(atek: Atek) -> Iterator[Pair]:
    """A home with all that is kept, and notes in the records."""
    for folder in ("state/services", "manifests", "data/notes"):
        (atek.home / folder).mkdir(parents=True)
    (atek.home / "state/node.secret").write_bytes(SECRET)
    (atek.home / "state/age.key").write_text(AGE_KEY)
    (atek.home / "state/age.key").chmod(0o600)
    (atek.home / "state/services/wiki.json").write_text(json.dumps(Remembered(suspended=True).to_json()))
    (atek.home / "config.toml").write_text(CONFIG)
    (atek.home / "manifests/wiki.yaml").write_text("id: wiki\ncommand: [w]\n")
    (atek.home / "data/notes/private").write_text("not for a backup")
    with running_pair(atek.home) as pair:
        pair.do(pair.laptop.declare, "notes")
        pair.do(pair.laptop.keys)
        yield pair


# Backup


def test_a_backup(atek: Atek, pair: Pair, file: Path) -> None:
    result = atek("backup", str(file))
    assert (result.status, result.err) == (0, "")
    assert (
        result.out == f"{file}: 3 records of 2 databases\nkeep it secret: whoever has it can be this node\n"
    )
    assert file.stat().st_mode & 0o777 == 0o600
    value = json.loads(file.read_text())
    assert (value["format"], value["version"], value["name"]) == ("atek-backup", 1, "pi")
    assert value["keys"]["primaryKey"] == pair.laptop.hyper.primary_key
    assert [each["name"] for each in value["databases"]] == ["records", "status"]
    assert value["files"] == {
        "config.toml": CONFIG, "state/age.key": AGE_KEY, "manifests/wiki.yaml": "id: wiki\ncommand: [w]\n",
    }  # fmt: skip
    assert (value["secret"], value["suspended"]) == (SECRET.hex(), ["wiki"])


def test_no_secret_is_printed(atek: Atek, pair: Pair, file: Path) -> None:
    result = atek("backup", str(file))
    for secret in (pair.laptop.hyper.primary_key, SECRET.hex(), pair.do(pair.laptop.keys).records):
        assert secret in file.read_text()
        assert secret not in result.out


def test_an_earlier_backup_is_replaced_and_is_secret_too(atek: Atek, pair: Pair, file: Path) -> None:
    file.write_text("of yesterday")
    file.chmod(0o644)
    assert atek("backup", str(file)).status == 0
    assert json.loads(file.read_text())["name"] == "pi"
    assert file.stat().st_mode & 0o777 == 0o600


def away(atek: Atek, pair: Pair) -> None:
    pair.do(pair.laptop.hyper.go_away)


def not_text(atek: Atek, pair: Pair) -> None:
    (atek.home / "manifests/odd.yaml").write_bytes(b"id: \xff\xfe")


def no_secret(atek: Atek, pair: Pair) -> None:
    (atek.home / "state/node.secret").unlink()


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (away, "the Hypercore daemon is away\nhint: `atek status core.hyper`"),
        (not_text, "{home}/manifests/odd.yaml is not UTF-8 text\nhint: save it as UTF-8"),
        (no_secret, "{home}/state/node.secret: No such file or directory\nhint: "),
    ],
)
def test_a_backup_that_would_not_be_whole_is_not_made(
    atek: Atek, pair: Pair, file: Path, trouble: Any, message: str
) -> None:
    file.write_text("of yesterday")
    trouble(atek, pair)
    result = atek("backup", str(file))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: {message.format(home=atek.home)}")
    assert file.read_text() == "of yesterday"


@pytest.mark.parametrize(
    ("name", "why"),
    [("absent/b", "No such file or directory"), ("home", "Is a directory"), ("f/b", "Not a dir")],
)
def test_where_no_file_can_be(atek: Atek, pair: Pair, tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "f").touch()
    before = sorted(tmp_path.rglob("*"))
    result = atek("backup", str(tmp_path / name))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: {tmp_path / name} cannot be written: {why}")
    assert result.err.endswith("hint: name a file in a folder of yours\n")
    assert sorted(tmp_path.rglob("*")) == before


# Restore


def test_there_and_back(atek: Atek, new: Atek, pair: Pair, file: Path) -> None:
    atek("backup", str(file))
    created = json.loads(file.read_text())["createdAt"]
    result = new("restore", str(file))
    assert (result.status, result.err) == (0, "")
    assert result.out == (
        f"{new.home} is pi as of {created}\n`atek up` starts it; the old one must not run any more\n"
    )
    assert (new.home / "state/node.secret").read_bytes() == SECRET
    assert (new.home / "config.toml").read_text() == CONFIG
    assert json.loads((new.home / "state/services/wiki.json").read_text())["suspended"] is True
    store = json.loads((new.home / "state/restore.json").read_text())
    assert store["keys"]["primaryKey"] == pair.laptop.hyper.primary_key
    assert not (new.home / "data").exists()


def test_a_home_that_is_used_stays_as_it_is(atek: Atek, pair: Pair, file: Path) -> None:
    atek("backup", str(file))
    before = sorted(atek.home.rglob("*"))
    result = atek("restore", str(file))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: {atek.home} is not empty: a backup would be mixed")
    assert "hint: restore into a new home, --home names it" in result.err
    assert sorted(atek.home.rglob("*")) == before


def test_a_home_that_cannot_be_made(atek: Atek, pair: Pair, file: Path, new: Atek) -> None:
    atek("backup", str(file))
    new.home.parent.write_text("a file")
    result = new("restore", str(file))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: {new.home} cannot be written: Not a directory\nhint: choose another")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no {file}\nhint: name the file that `atek backup` made"),
        ("{", "{file} is damaged: it is not valid JSON"),
        ("[]", "{file} is no backup of a node\nhint: name the file that `atek backup` made"),
        ('{"format": "zip"}', "{file} is no backup of a node\nhint: name the file"),
        ('{"format": "atek-backup", "version": 2}', "{file} was made by a newer atek\nhint: restore it with"),
        ('{"format": "atek-backup", "version": 1}', "{file} is damaged: a part of it is missing or wrong"),
    ],
)
def test_what_is_no_backup(new: Atek, file: Path, text: str | None, message: str) -> None:
    if text is not None:
        file.write_text(text)
    result = new("restore", str(file))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: {message.format(file=file)}")
    assert "\nhint: " in result.err
    assert not new.home.exists()


def test_a_folder_is_no_backup(new: Atek, tmp_path: Path) -> None:
    result = new("restore", str(tmp_path))
    assert (result.status, result.err) == (1, f"atek: {tmp_path} cannot be read: Is a directory\n")


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_wrong_usage(atek: Atek, command: str) -> None:
    result = atek(command)
    assert (result.status, result.out) == (2, "")
    assert "FILE" in result.err


# Repair


def test_repairing_a_log_that_was_forked(atek: Atek, pair: Pair) -> None:
    pair.follow_pi()
    keys = pair.do(pair.laptop.keys)
    pair.do(pair.pi.hyper.open, keys.records)
    pair.do(pair.laptop.hyper.fork_log, keys.records)
    refused = atek("rollback", "--to", "2")
    assert (refused.status, refused.out) == (1, "")
    assert "was forked\nhint: `atek repair`" in refused.err
    result = atek("repair")
    assert (result.status, result.out) == (0, "this node's records are whole: what it has counts\n")
    assert atek("rollback", "--to", "2").status == 0


def test_repairing_what_is_whole_changes_nothing(atek: Atek, pair: Pair) -> None:
    before = atek("history", "--json").out
    assert atek("repair").status == 0
    assert atek("history", "--json").out == before
    database = pair.do(pair.laptop.hyper.info, pair.do(pair.laptop.keys).records)
    assert database.fork == 0


def test_repairing_without_the_daemon(atek: Atek, pair: Pair) -> None:
    pair.do(pair.laptop.hyper.go_away)
    result = atek("repair")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("atek: the Hypercore daemon is away\nhint: ")
