"""Node packages: what is refused, and what decides whether dependencies are shared.

Whole preparations, from the registry too, are in test_preparation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtimes import node
from runtimes.base import PermanentFailure
from runtimes.node import NodePreparer, NodeTools, find_node, read_package
from tests.runtimes.factories import make_paths, service

if TYPE_CHECKING:
    from manifests.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio


def quiet(_: str) -> None:
    """Nobody watches the progress."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_paths(tmp_path)


def app(paths: Paths, files: dict[str, Any], **manifest: Any) -> Service:
    source = paths.home / "source"
    source.mkdir(exist_ok=True)
    for name, content in files.items():
        (source / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return service(package=str(source), **manifest)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """npm's runs, without npm: its words and the folder they ran in."""
    runs: list[str] = []

    async def run(what: str, line: list[str], *, cwd: Path, **_: object) -> None:
        runs.append(f"{' '.join(line[2:])} in {cwd.name[:4]}")

    monkeypatch.setattr(node, "run_tool", run)
    return runs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
        ('{"dependencies": ["a"]}', "dependencies in package.json"),
        ('{"optionalDependencies": "a"}', "optionalDependencies in package.json"),
        ('{"devDependencies": {"a": 1}}', "devDependencies in package.json"),
        ('{"scripts": {"start": 4}}', "scripts in package.json"),
    ],
)
def test_a_package_json_that_npm_would_choke_on_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "package.json").write_text(text)
    with pytest.raises(PermanentFailure, match=said) as caught:
        read_package(tmp_path)
    assert caught.value.reason == "InvalidPackage"


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('\ufeff{"main": "x.js"}', "utf-8")
    assert read_package(tmp_path) == {"main": "x.js"}


@pytest.mark.parametrize("main", ["/etc/passwd", "../../../../../../../../etc/passwd", "x\0", "..", 7])
async def test_a_main_outside_of_the_package_is_not_run(paths: Paths, main: object) -> None:
    with pytest.raises(PermanentFailure) as caught:
        await NodePreparer(paths).prepare(app(paths, {"package.json": {"main": main}}), quiet)
    assert caught.value.reason == "NoEntryPoint"


async def test_a_command_needs_no_entry_point(paths: Paths) -> None:
    of = app(paths, {"other.js": ""}, command=["node", "other.js"])
    await NodePreparer(paths).prepare(of, quiet)
    program = NodePreparer(paths).program(of)
    assert program.argv == () and str(find_node().node.parent) in program.path


async def test_a_start_script_of_several_commands_stays_a_shell_script(paths: Paths) -> None:
    of = app(paths, {"package.json": {"scripts": {"start": "A=1 node x.js && echo done"}}})
    await NodePreparer(paths).prepare(of, quiet)
    assert NodePreparer(paths).program(of).argv == ("/bin/sh", "-c", "A=1 node x.js && echo done")


def test_without_a_package_the_data_folder_is_where_it_runs(paths: Paths) -> None:
    program = NodePreparer(paths).program(service(command=["node", "-e", "1"]))
    assert program.cwd == str(paths.data("app")) and program.path == (str(find_node().node.parent),)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"package.json": {"dependencies": {"a": "1"}}}, ["install --no-package-lock --omit=dev in deps"]),
        ({"package.json": {"dependencies": {"a": "1"}}, "package-lock.json": {}}, ["ci --omit=dev in deps"]),
        (
            {"package.json": {"dependencies": {"a": "1"}}, "npm-shrinkwrap.json": {}},
            ["ci --omit=dev in deps"],
        ),
        ({"package.json": {"devDependencies": {"a": "1"}}}, []),
        (
            {"package.json": {"devDependencies": {"a": "1"}, "scripts": {"build": "b"}}},
            ["install --no-package-lock --include=dev in deps", "run build in .new"],
        ),
        (
            {"package.json": {"dependencies": {"a": "file:./a"}}},
            ["install --no-package-lock --omit=dev in .new"],
        ),
    ],
)
async def test_what_npm_is_asked(
    paths: Paths, installed: list[str], files: dict[str, Any], words: list[str]
) -> None:
    await NodePreparer(paths).prepare(app(paths, {"index.js": "", **files}), quiet)
    assert installed == words


PACKAGE = {"dependencies": {"a": "1"}}


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"index.js": "changed"}, False),
        ({"package.json": {**PACKAGE, "description": "changed"}}, False),
        ({"package.json": {"dependencies": {"a": "2"}}}, True),
        ({"package.json": {**PACKAGE, "overrides": {"b": "2"}}}, True),
        ({"package.json": {**PACKAGE, "scripts": {"postinstall": "changed"}}}, True),
        ({"package-lock.json": {"changed": 1}}, True),
        ({".npmrc": "legacy-peer-deps=true"}, True),
    ],
)
async def test_dependencies_are_shared_until_what_decides_about_them_changes(
    paths: Paths, installed: list[str], change: dict[str, Any], again: bool
) -> None:
    before = app(paths, {"index.js": "", "package.json": PACKAGE, "package-lock.json": {}})
    await NodePreparer(paths).prepare(before, quiet)
    after = app(paths, change)
    assert after.revision != before.revision
    await NodePreparer(paths).prepare(after, quiet)
    assert len(installed) == (2 if again else 1)


async def test_another_major_version_of_node_installs_anew(
    paths: Paths, installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"index.js": "", "package.json": PACKAGE}
    for major in (20, 22):
        monkeypatch.setattr(node, "find_node", lambda: NodeTools(Path("/node"), Path("/npm.js"), major))  # noqa: B023
        of = app(paths, {**files, "index.js": str(major)})
        await NodePreparer(paths).prepare(of, quiet)
    assert len(installed) == 2


def test_an_old_node_of_the_machine_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"node": "#!/bin/sh\necho v16.20.2\n", "npm": ""}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    find_node.cache_clear()
    try:
        assert find_node().node.parent != tmp_path and find_node().major >= node.OLDEST_NODE
    finally:
        find_node.cache_clear()
