"""`atek apply` and `atek delete`: files in the node's own folder, whole or not at all."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import yaml

from manifests.documents.parse import parse_file
from tests.reconciler.cli.atek import Atek, running_node
from tests.reconciler.fakes import FakeNode, service, source

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.manifest import Manifest

NOTES = "id: notes\nsource: ./notes\nenv: {LOG_LEVEL: debug}\n"


@pytest.fixture
def author(tmp_path: Path) -> Path:
    folder = tmp_path / "author"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def kept(atek: Atek) -> dict[str, Manifest]:
    files = sorted((atek.home / "manifests").glob("*")) if atek.home.exists() else []
    return {file.name: parse_file(file.read_text(), str(file), file.suffix).manifests[0] for file in files}


def test_a_manifest_is_kept_with_its_package_found_from_anywhere(atek: Atek, author: Path) -> None:
    result = atek("apply", write(author / "n.yaml", NOTES))
    assert (result.status, result.out) == (0, "notes created\n")
    file = atek.home / "manifests" / "notes.yaml"
    assert yaml.safe_load(file.read_text()) == {
        "id": "notes",
        "source": str(author / "notes"),
        "env": {"LOG_LEVEL": "debug"},
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert atek.home.stat().st_mode & 0o777 == 0o700


def test_a_package_may_be_named_by_its_url(atek: Atek, author: Path) -> None:
    atek("apply", write(author / "n.yaml", "id: notes\nsource: file:///srv/my%20notes\n"))
    assert kept(atek)["notes.yaml"].source == "/srv/my notes"


def test_applying_again_says_what_it_did(atek: Atek, author: Path) -> None:
    path = write(author / "n.yaml", NOTES)
    atek("apply", path)
    inode = (atek.home / "manifests" / "notes.yaml").stat().st_ino
    assert atek("apply", path).out == "notes unchanged\n"
    assert (atek.home / "manifests" / "notes.yaml").stat().st_ino == inode
    write(author / "n.yaml", NOTES.replace("debug", "info"))
    assert atek("apply", path).out == "notes configured\n"
    assert kept(atek)["notes.yaml"].env == {"LOG_LEVEL": "info"}


def test_a_folder_with_all_languages(atek: Atek, author: Path) -> None:
    write(author / "a.yaml", "id: a\ncommand: [a]\n---\nid: b\ncommand: [b]\n")
    write(author / "c.toml", '[[services]]\nid = "c"\nsource = "c"\n[[services]]\nid = "d"\nsource = "/d"\n')
    write(author / "e.json", '[{"id": "e", "command": ["e"]}, {"id": "f", "command": ["f"]}]')
    write(author / "README.md", "not a manifest")
    result = atek("apply", str(author))
    assert result.out.splitlines() == [f"{name} created" for name in "abcdef"]
    assert kept(atek)["c.yaml"].source == str(author / "c")
    assert kept(atek)["d.yaml"].source == "/d"
    assert [m.id for m in kept(atek).values()] == list("abcdef")


def test_from_stdin(atek: Atek, author: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(author)
    monkeypatch.setattr("sys.stdin", io.StringIO(NOTES))
    assert atek("apply", "-").out == "notes created\n"
    assert kept(atek)["notes.yaml"].source == str(author / "notes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: [", "is not valid YAML"),
        ("id: b\nsuorce: x\n", "b.yaml:2: suorce"),
        ("id: b\ncommand: [x]\nport: many\n", "b.yaml:3: port"),
        ("id: notes\ncommand: [x]\n", "notes is declared in"),
        ("", "declares no service"),
        ("id: b\nimage: redis!\n", "image"),
    ],
)
def test_one_broken_manifest_and_nothing_is_changed(
    atek: Atek, author: Path, text: str, message: str
) -> None:
    write(author / "a.yaml", NOTES)
    write(author / "b.yaml", text)
    result = atek("apply", str(author))
    assert result.status == 1
    assert message in result.err
    assert kept(atek) == {}


def test_paths_that_are_not_there(atek: Atek, author: Path) -> None:
    assert "there is no" in atek("apply", str(author / "x.yaml")).err
    assert "has no manifests" in atek("apply", str(author)).err
    (author / "x.yaml").write_bytes(b"id: \xff\xfe")
    assert "is not UTF-8" in atek("apply", str(author / "x.yaml")).err


def test_a_service_is_never_declared_twice_in_the_folder(atek: Atek, author: Path) -> None:
    folder = atek.home / "manifests"
    folder.mkdir(parents=True)
    mine = write(folder / "mine.yaml", NOTES)
    result = atek("apply", write(author / "n.yaml", NOTES))
    assert result.status == 1
    assert f"notes is declared in {mine}" in result.err
    assert [file.name for file in folder.iterdir()] == ["mine.yaml"]


def test_a_file_with_more_services_is_not_overwritten(atek: Atek, author: Path) -> None:
    folder = atek.home / "manifests"
    folder.mkdir(parents=True)
    both = NOTES + "---\nid: wiki\ncommand: [w]\n"
    write(folder / "notes.yaml", both)
    assert "declares other services too" in atek("apply", write(author / "n.yaml", NOTES)).err
    assert "declares other services too: wiki" in atek("delete", "notes").err
    assert (folder / "notes.yaml").read_text() == both


def test_waiting_until_ready(atek: Atek, author: Path) -> None:
    node = FakeNode(sources=[source("home")])
    path = write(author / "n.yaml", NOTES)
    with running_node(atek.home, node):
        late = atek("apply", path, "--wait", "0.1")
        assert late.status == 1
        assert "the node has not noticed" in late.err
        node.add(service("notes", ready=False, message="npm ci"))
        late = atek("apply", path, "--wait", "0.1")
        assert (late.status, late.out) == (1, "notes unchanged\n")
        assert late.err.splitlines()[:2] == [
            "notes: Starting: npm ci",
            "atek: not ready after 0.1 s: notes: Starting: npm ci",
        ]
        node.add(service("notes"))
        assert atek("apply", path, "--wait", "5").out == "notes unchanged\nready\n"


def test_a_changed_manifest_is_only_ready_once_the_node_has_read_it(atek: Atek, author: Path) -> None:
    node = FakeNode(sources=[source("home")])
    node.add(service("notes"))
    path = write(author / "n.yaml", NOTES)
    with running_node(atek.home, node):
        assert "has not noticed" in atek("apply", path, "--wait", "0.1").err


# Delete


def test_delete(atek: Atek, author: Path) -> None:
    atek("apply", write(author / "n.yaml", NOTES))
    result = atek("delete", "notes")
    assert (result.status, result.out) == (0, "notes deleted\n")
    assert kept(atek) == {}


def test_delete_names_where_else_a_service_is_declared(atek: Atek) -> None:
    folder = atek.home / "manifests"
    folder.mkdir(parents=True)
    mine = write(folder / "mine.yaml", NOTES)
    assert atek("delete", "notes").err == (
        f"atek: notes is declared in {mine}\nhint: remove it there: the node notices\n"
    )
    node = FakeNode()
    node.add(service("wiki", file="/etc/wiki.toml"), service("core.hyper", file=None, source="config"))
    with running_node(atek.home, node):
        assert "wiki is declared in /etc/wiki.toml" in atek("delete", "wiki").err
        assert "core.hyper is declared in source config" in atek("delete", "core.hyper").err
        assert "did you mean wiki?" in atek("delete", "wikk").err
    assert (folder / "mine.yaml").exists()


def test_delete_of_the_unknown(atek: Atek, author: Path) -> None:
    atek("apply", write(author / "n.yaml", NOTES))
    result = atek("delete", "notse")
    assert result.err == "atek: there is no service notse\nhint: did you mean notes?\n"
    for odd in ("../notes", "/etc/passwd", ".", ""):
        assert atek("delete", odd).status == 1
    assert list(kept(atek)) == ["notes.yaml"]


def test_a_compose_file_becomes_a_manifest_for_each_of_its_services(atek: Atek, author: Path) -> None:
    text = "name: wiki\nservices: {db: {image: 'pg:${TAG}'}, web: {build: ., depends_on: [db]}}\n"
    write(author / ".env", "TAG=16\n")
    result = atek("apply", write(author / "compose.yaml", text))
    assert result.out == "wiki-db created\nwiki-web created\n"
    found = kept(atek)
    assert found["wiki-db.yaml"].image == "pg:16"
    assert found["wiki-web.yaml"].source == str(author)
