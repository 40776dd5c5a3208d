"""A package is built with the service's own variables, and with nothing that only an instance has."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.packages.environment import build_environment
from runtimes.packages.node import NodePreparer
from runtimes.packages.python import PythonPreparer
from runtimes.processes.variables import TOKEN_VARIABLE
from tests.runtimes.factories import clear, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio

BUILD = "node -e \"require('fs').writeFileSync('built.json', JSON.stringify(process.env))\""
#: A build backend without requirements: what it saw is in the package that it builds.
BACKEND = """
import json, os, zipfile
def build_wheel(folder, *_):
    name = "seen-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("seen.json", json.dumps(dict(os.environ)))
        wheel.writestr("seen-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: seen\\nVersion: 1\\n")
        wheel.writestr("seen-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("seen-1.dist-info/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "seen"
version = "1"
"""


@pytest.fixture
def paths() -> Iterator[Paths]:
    home = make_home()
    yield make_paths(home)
    shutil.rmtree(home)


def app(paths: Paths, runtime: str, files: dict[str, str], **manifest: Any) -> Service:
    source = paths.home / "source"
    source.mkdir(exist_ok=True)
    for name, content in files.items():
        (source / name).write_text(content)
    return service(runtime=runtime, package=str(source), **manifest)


def node_app(paths: Paths, **env: str) -> Service:
    package = json.dumps({"scripts": {"build": BUILD}})
    return app(paths, "node", {"package.json": package, "index.js": ""}, env=env)


def python_app(paths: Paths, **env: str) -> Service:
    return app(paths, "python", {"pyproject.toml": PROJECT, "backend.py": BACKEND, "main.py": ""}, env=env)


def read(copy: str, pattern: str) -> dict[str, str]:
    (file,) = Path(copy).glob(pattern)
    found: dict[str, str] = json.loads(file.read_text())
    return found


async def test_a_node_build_sees_it(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "the node's")
    preparer = NodePreparer(paths)
    first = node_app(paths, PUBLIC_URL="/a", NODE_ENV="production")
    await preparer.prepare(first, print)
    seen = read(preparer.program(first).cwd, "built.json")
    assert (seen["PUBLIC_URL"], seen["NODE_ENV"]) == ("/a", "production")
    assert not any(name.startswith("ATEK_") or name == "PORT" for name in seen)
    # Another value is another build; the old one stays for what runs from it.
    second = node_app(paths, PUBLIC_URL="/b")
    await preparer.prepare(second, print)
    assert read(preparer.program(second).cwd, "built.json")["PUBLIC_URL"] == "/b"
    assert read(preparer.program(first).cwd, "built.json")["PUBLIC_URL"] == "/a"
    kept = preparer.program(second).cwd
    await clear(preparer, "app", [second])
    assert [str(each) for each in paths.packages("app").glob("[!.]*")] == [kept]


async def test_a_python_build_sees_it(paths: Paths) -> None:
    preparer = PythonPreparer(paths)
    for value in ("a", "b"):
        of = python_app(paths, BUILT_WITH=value)
        await preparer.prepare(of, print)
        seen = read(preparer.program(of).cwd, ".venv/lib/python*/site-packages/seen.json")
        assert seen["BUILT_WITH"] == value
        assert not any(name.startswith("ATEK_") or name == "PORT" for name in seen)


async def test_what_runs_from_a_copy_of_an_earlier_version_keeps_it(paths: Paths) -> None:
    of = node_app(paths, PUBLIC_URL="/a")
    assert of.package is not None
    old = paths.packages("app") / of.package.digest
    old.mkdir(parents=True)
    await clear(NodePreparer(paths), "app", [of])
    assert old.is_dir()


@pytest.mark.parametrize("own", ["npm_config_cache", "UV_CACHE_DIR"])
@pytest.mark.parametrize("spelled", [str.lower, str.upper])
def test_what_the_preparation_depends_on_is_not_overridden(own: str, spelled: Any) -> None:
    of = service(command=["x"], env={spelled(own): "/elsewhere", "npm_config_loglevel": "silly"})
    found = build_environment(of, **{own: "/cache"})
    assert found[own] == "/cache"
    assert [value for name, value in found.items() if name.lower() == own.lower()] == ["/cache"]
    assert found["npm_config_loglevel"] == "silly"


def test_a_path_of_the_service_comes_after_that_of_the_tools() -> None:
    found = build_environment(service(command=["x"], env={"PATH": "/own/bin:/bin"}), ["/tools"])
    assert found["PATH"] == "/tools:/own/bin:/bin"
    inherited = build_environment(service(command=["x"]), ["/tools"])["PATH"]
    assert inherited == f"/tools:{os.environ['PATH']}"
