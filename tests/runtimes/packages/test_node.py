"""Node packages: what is refused, and what is run. Preparing them is in test_node_preparation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.base import PermanentFailure
from runtimes.packages.node import NodePreparer
from runtimes.packages.node_package import read_package
from runtimes.packages.node_versions import find_node
from tests.runtimes.factories import make_paths, service

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.service import Service
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
