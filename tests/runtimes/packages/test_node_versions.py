"""Which Node: what is asked for, where it is written, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.model.semver import Version, parse_range, parse_version
from runtimes.base import Notice, PermanentFailure
from runtimes.packages import node_versions
from runtimes.packages.node import NodePreparer
from runtimes.packages.node_versions import (
    Nodes,
    NodeTools,
    Wish,
    find_node,
    locked_engines,
    older_releases,
    wished,
)
from runtimes.packages.tools import ToolLog
from tests.runtimes.factories import make_paths, service

pytestmark = pytest.mark.anyio


def version(text: str) -> Version:
    found = parse_version(text)
    assert found
    return found


@pytest.mark.parametrize(
    ("files", "engines", "text", "allows", "refuses"),
    [
        ({}, None, None, "", ""),
        ({}, ">=22", ">=22", "24.1.0", "20.9.0"),
        ({}, "whatever", None, "", ""),
        ({}, 7, None, "", ""),
        ({".nvmrc": "v20.11.1\n"}, ">=22", "v20.11.1", "20.11.1", "20.11.2"),
        ({".nvmrc": "# ours\n\n22  # now\n"}, None, "22", "22.7.0", "24.0.0"),
        ({".node-version": "18.19", ".nvmrc": "20"}, None, "18.19", "18.19.3", "18.20.0"),
        ({".nvmrc": "lts/*"}, None, "lts/*", "24.1.0", "23.1.0"),
        ({".nvmrc": "lts/Iron"}, None, "lts/Iron", "20.1.0", "22.1.0"),
        ({".nvmrc": "node"}, "22", None, "", ""),
        ({".nvmrc": ""}, "22", "22", "22.1.0", "20.1.0"),
    ],
)
def test_what_a_package_asks_for(
    tmp_path: Path, files: dict[str, str], engines: object, text: str | None, allows: str, refuses: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    wish = wished(tmp_path, {"engines": {"node": engines}} if engines is not None else {})
    assert (wish.text if wish else None) == text
    if wish:
        assert wish.range.allows(version(allows)) and not wish.range.allows(version(refuses))


def test_what_a_lock_says_about_engines(tmp_path: Path) -> None:
    packages = {
        "": {"engines": {"node": ">=1"}},
        "node_modules/a": {"engines": {"node": ">=22"}},
        "node_modules/b": {"engines": {"node": "1"}, "optional": True},
        "node_modules/a/node_modules/@c/d": {"engines": {"node": "^24"}},
    }
    lock = tmp_path / "package-lock.json"
    lock.write_text(json.dumps({"packages": packages}))
    found = [(wish.where, wish.text) for wish in locked_engines(lock)]
    assert found == [("a", ">=22"), ("@c/d", "^24")]
    lock.write_text("[]")
    assert locked_engines(lock) == []


@pytest.mark.parametrize(
    ("current", "wanted", "told"),
    [
        ("5.1.0", "6.0.2", ["nanoid 5.1.0 instead of 6.0.2"]),
        ("6.0.2", "6.0.2", []),
        ("7.0.0", "6.0.2", []),
        ("linked", "6.0.2", []),
    ],
)
def test_an_older_release_than_another_node_would_get_is_told(
    current: str, wanted: str, told: list[str]
) -> None:
    outdated = json.dumps({"nanoid": {"current": current, "wanted": wanted, "latest": "9.0.0"}})
    assert older_releases(outdated) == told
    assert older_releases("npm is not in the mood") == older_releases('{"a": {}}') == []


class Machine:
    """A machine with some Nodes, and a registry that has others."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        self.published = ["18.20.1", "22.1.0", "22.2.0", "23.4.0", "24.0.0", "25.1.0"]
        monkeypatch.setattr(node_versions, "find_node", lambda: self.tools("20.5.0"))
        monkeypatch.setattr(node_versions, "_system_node", lambda oldest: self.tools("20.5.0"))
        monkeypatch.setattr(node_versions, "_shipped_node", lambda: self.tools("24.3.0"))
        monkeypatch.setattr(node_versions, "_published", self._publish)
        monkeypatch.setattr(node_versions, "install_alone", self._install)
        monkeypatch.setattr(node_versions, "_version", lambda node: version(Path(node).parent.parent.name))

    def tools(self, text: str) -> NodeTools:
        return NodeTools(self.folder / text / "bin/node", self.folder / "npm.js", version(text))

    async def _publish(self, *_: object) -> list[Version]:
        return [version(each) for each in self.published]

    async def _install(self, _: object, spec: str, place: Path, *__: object, part: str) -> None:
        self.fetched.append(spec)
        (place / "bin").mkdir(parents=True)
        (place / "bin/node").touch()

    async def choose(self, *ranges: str) -> str:
        wishes = [Wish(each, "somebody", parse_range(each)) for each in ranges]
        log = ToolLog(self.folder / "log")
        return str((await Nodes(self.folder / "node").choose(wishes, log, lambda _: None)).version)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("ranges", "chosen"),
    [([], "20.5.0"), ([">=18"], "20.5.0"), ([">=22"], "24.3.0"), ([">=18", "24"], "24.3.0")],
)
async def test_what_is_here_serves(machine: Machine, ranges: list[str], chosen: str) -> None:
    assert await machine.choose(*ranges) == chosen and machine.fetched == []


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [("^22", "22.2.0"), ("18", "18.20.1"), ("23 || 25", "25.1.0"), ("22 || 23", "22.2.0")],
)
async def test_what_is_not_here_is_fetched_once(machine: Machine, asked: str, chosen: str) -> None:
    assert await machine.choose(asked) == chosen
    assert [spec.split("@")[1] for spec in machine.fetched] == [chosen]
    assert await machine.choose(asked) == chosen and len(machine.fetched) == 1
    # Whoever asks for nothing still gets the usual one.
    assert await machine.choose() == "20.5.0"


async def test_what_nobody_has_is_named(machine: Machine) -> None:
    with pytest.raises(PermanentFailure, match="somebody asks for Node >=99") as caught:
        await machine.choose(">=99")
    assert caught.value.reason == "NoNode"


async def test_another_node_than_the_usual_is_told_and_runs_it(tmp_path: Path) -> None:
    usual = find_node()
    other = node_versions._shipped_node()
    assert other is not None
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.js").touch()
    (source / ".nvmrc").write_text(str(other.version))
    said: list[Any] = []
    preparer, of = NodePreparer(make_paths(tmp_path)), service(runtime="node", package=str(source))
    await preparer.prepare(of, said.append)
    assert preparer.program(of).argv[0] == str(other.node)
    told = [(line.reason, str(line)) for line in said if isinstance(line, Notice)]
    differs = usual.version != other.version
    assert told == (
        [("NodeChosen", f"{other} instead of {usual}: .nvmrc asks for Node {other.version}")] * differs
    )
