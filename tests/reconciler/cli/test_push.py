"""`atek push`: what is written, for whom, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from manifests.documents.record import parse_drive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reconciler.cli.atek import Atek
    from tests.reconciler.fake_nodes import Pair


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "My App"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / "index.js").touch()
    return folder


def records(followed: Pair) -> dict[str, dict[str, Any]]:
    """What the laptop's records say of each service."""
    found = followed.do(followed.laptop.services.read)
    return {name: record.value["spec"] for name, record in found.items()}


# What is written


def test_a_folder_is_a_package_and_a_record(atek: Atek, followed: Pair, app: Path, tmp_path: Path) -> None:
    (app / "atek.yaml").write_text("env: {LOG: debug}\n")
    result = atek("push", str(app))
    assert (result.status, result.err) == (0, "")
    assert result.out == "my-app pushed as version 4: for this node and all that follow it\n"
    spec = records(followed)["my-app"]
    assert spec["env"] == {"LOG": "debug"}
    drive = parse_drive(spec["source"])
    assert drive is not None
    (there := tmp_path / "there").mkdir()
    followed.do(followed.pi.hyper.get_drive, drive, str(there), timeout=5)
    assert [file.name for file in there.iterdir()] == ["index.js"]


@pytest.mark.parametrize(
    ("words", "said", "service_id"),
    [
        ("", "", "my-app"),
        ("", "id: notes", "notes"),
        ("--id wiki", "", "wiki"),
        ("--id wiki", "id: notes", "wiki"),
    ],
)
def test_the_id(atek: Atek, followed: Pair, app: Path, words: str, said: str, service_id: str) -> None:
    (app / "atek.yaml").write_text(said)
    if not said:
        (app / "atek.yaml").unlink()
    assert atek("push", str(app), *words.split()).status == 0
    assert list(records(followed)) == [service_id]


def test_the_last_packages_stay_and_those_in_use(atek: Atek, followed: Pair, app: Path) -> None:
    versions = []
    for number in range(5):
        (app / "index.js").write_text(f"// {number}")
        versions.append(atek("push", str(app)).out.split("version ")[1].split(":")[0])
    there = atek("rollback", "my-app", "--to", versions[2])
    assert (there.status, there.err) == (0, "")
    gone = atek("rollback", "my-app", "--to", versions[1])
    assert gone.status == 1
    assert gone.err.splitlines() == [
        f"atek: the package that my-app had at version {versions[1]} is no longer kept",
        "hint: of each package the last three pushed stay, and those in use: push that one's folder again",
    ]


def test_a_file_with_several_services(atek: Atek, followed: Pair, app: Path) -> None:
    file = app.parent / "both.yaml"
    file.write_text("id: a\nsource: ./My App\n---\nid: b\ncommand: [b]\n")
    assert [line.split()[0] for line in atek("push", str(file)).out.splitlines()] == ["a", "b"]
    assert records(followed)["a"]["source"].startswith("hyper://")
    assert records(followed)["b"] == {"id": "b", "command": ["b"]}


@pytest.mark.parametrize(
    ("to", "nodes", "where"),
    [
        ("", None, "this node and all that follow it"),
        ("", ["laptop"], "this node"),
        ("", [{"label": "kitchen"}], "pi"),
        ("", ["laptop", "pi"], "this node, pi"),
        ("", ["attic"], "nodes that this one does not know"),
        ("pi", None, "pi"),
        ("laptop", None, "this node"),
        ("laptop", ["pi"], "this node"),
    ],
)
def test_for_whom(
    atek: Atek, followed: Pair, app: Path, to: str, nodes: list[Any] | None, where: str
) -> None:
    (app / "atek.yaml").write_text(json.dumps({"id": "notes"} | ({"nodes": nodes} if nodes else {})))
    result = atek("push", str(app), *(["--to", to] if to else []))
    assert (result.out, result.err) == (f"notes pushed as version 4: for {where}\n", "")
    assert records(followed)["notes"].get("nodes") == ([to] if to else nodes)


def test_for_a_node_that_only_follows(atek: Atek, followed: Pair, app: Path) -> None:
    result = atek("push", str(app), "--to", "attic")
    assert (result.status, result.out) == (0, "my-app pushed as version 4: for attic\n")
    assert result.err.startswith(
        "atek: this node follows no attic, so it cannot tell how it fares there\nhint: "
    )
    assert records(followed)["my-app"]["nodes"] == ["attic"]


# What is wrong


@pytest.mark.parametrize(
    ("path", "text", "words", "message", "hint"),
    [
        ("absent", None, "", "there is no {path}", "name a manifest file"),
        ("empty", None, "", "nothing", ""),
        ("___", None, "", "{path} has no name that could be an id", "--id says one"),
        ("app/atek.yaml", "id: a: b\n", "", "{path}/atek.yaml:1: ", ""),
        ("app/atek.yaml", "env: {}\nprot: 1\n", "", "{path}/atek.yaml:2: prot: ", "port"),
        ("app/atek.yaml", "id: a\n---\nid: b\n", "", "has to be the manifest of one service", "id: notes"),
        ("app/atek.yaml", "nodes: pi\n", "", "{path}/atek.yaml:1: nodes", ""),
        ("app/atek.yaml", "", "", "has to be the manifest of one service", "id: notes"),
        ("app/atek.yaml", "env: {}\n", "--id Notes", "id: ", ""),
        ("app/atek.yaml", "port: auto\negress: true\n", "", "egress is for containers", "remove egress"),
        (
            "both.yaml",
            "id: a\ncommand: [a]\n---\nid: b\ncommand: [b]\n",
            "--id c",
            "declares 2",
            "leave --id out",
        ),
        ("one.yaml", "id: a\nsource: ./gone\n", "", "gone", ""),
        ("one.yaml", "id: a\nsuorce: ./gone\n", "", "{path}:2: suorce", "source"),
    ],
)
def test_nothing_is_written_of_what_is_wrong(
    atek: Atek, followed: Pair, app: Path, path: str, text: str | None, words: str, message: str, hint: str
) -> None:
    named = prepared(app, path, text)
    result = atek("push", str(named), *words.split())
    assert (result.status, result.out, records(followed)) == (1, "", {})
    first, *rest = result.err.splitlines()
    assert message.format(path=named) in first
    assert hint in "".join(rest)


def prepared(app: Path, path: str, text: str | None) -> Path:
    """A file (in the package where the path says so), or an empty folder; returns what is to be pushed."""
    if path.startswith("app/"):
        app.joinpath("atek.yaml").write_text(text or "")
        return app
    named = app.parent / path
    if text is not None:
        named.write_text(text)
    elif path != "absent":
        named.mkdir()
    return named


@pytest.mark.parametrize(
    ("words", "wrong"), [("", "PATH"), ("x --wait soon", "soon is not a time"), ("x --to", "--to")]
)
def test_wrong_usage(atek: Atek, words: str, wrong: str) -> None:
    result = atek("push", *words.split())
    assert (result.status, result.out) == (2, "")
    assert wrong in result.err


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        ("NO_SPACE", "atek: not written: NO_SPACE\nhint: free some space on the disk"),
        ("HELD", "atek: not written: HELD\nhint: after a crash, writes wait a moment"),
        ("AWAY", "atek: the Hypercore daemon is away\nhint: `atek status core.hyper` says why"),
    ],
)
def test_a_daemon_in_trouble(atek: Atek, followed: Pair, app: Path, trouble: Any, error: str) -> None:
    followed.laptop.hyper.fails = trouble
    if trouble == "AWAY":
        followed.do(followed.laptop.hyper.go_away)
    result = atek("push", str(app))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(error)
