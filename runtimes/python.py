"""Python packages: a virtual environment made by uv, and what to run in it.

    uv.lock + pyproject.toml    uv sync --frozen, exactly what is locked
    pyproject.toml              the project itself is installed
    requirements.txt            what it lists
    none of them                nothing is installed

The environment is shared by all revisions that need the same. The entry point is the manifest's command, else
main.py, app.py, __main__.py, else the project's only script.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.service import digest
from runtimes.base import PermanentFailure
from runtimes.packages import PackageStore
from runtimes.preparer import Program
from runtimes.tools import run_tool, tool_environment

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.service import Service
    from runtimes.base import Progress
    from runtimes.paths import Paths

_MODULES = ("main.py", "app.py")


class PythonPreparer:
    """Implements `runtimes.preparer.Preparer`."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._store = PackageStore(paths)

    async def prepare(self, service: Service, progress: Progress) -> None:
        if service.package is None:
            return
        steps = _Installation(self._paths, self._store, service, progress)
        await self._store.make_copy(service, progress, steps.finish)

    def program(self, service: Service) -> Program:
        own = os.fspath(Path(base_python()).parent)
        if service.package is None:
            return Program((), os.fspath(self._paths.data(service.id)), (own,))
        copy = self._store.require(service)
        venv = copy / ".venv" / "bin"
        path = (os.fspath(venv), own) if venv.is_dir() else (own,)
        argv = () if service.manifest.command else _entry_point(copy, venv)
        return Program(argv, os.fspath(copy), path)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        await self._store.collect(service_id, keep)


class _Installation:
    """What has to be done in one copy of a package."""

    def __init__(self, paths: Paths, store: PackageStore, service: Service, progress: Progress) -> None:
        self._paths = paths
        self._store = store
        self._service = service
        self._progress = progress

    async def finish(self, copy: Path) -> None:
        """The environment, then a look whether there is something to run."""
        install = self._way(copy)
        if install is not None:
            key, words = install

            async def make(folder: Path) -> None:
                await self._make_environment(folder / "venv", copy, words)

            folder = await self._store.make_dependencies(self._service, key, make)
            (copy / ".venv").symlink_to(Path("..") / folder.name / "venv")
        if not self._service.manifest.command:
            _entry_point(copy, copy / ".venv" / "bin")

    def _way(self, copy: Path) -> tuple[str, list[str]] | None:
        """What the environment depends on, and uv's words to fill it; None when nothing is needed."""
        names = {name for name in ("uv.lock", "pyproject.toml", "requirements.txt") if (copy / name).exists()}
        project = _read_project(copy) if "pyproject.toml" in names else {}
        assert self._service.package is not None
        content = self._service.package.digest
        if "uv.lock" in names and project:
            return _key(content), ["sync", "--frozen", "--no-dev", "--no-editable"]
        if "build-system" in project or "project" in project:
            return _key(content), ["pip", "install", "."]
        if "requirements.txt" in names:
            wanted = (copy / "requirements.txt").read_text("utf-8")
            # Requirements may name other files of the package; then all of it counts.
            local = any(line.strip().startswith(("-r", "-c", "-e", ".", "/")) for line in wanted.splitlines())
            return _key(wanted, content if local else ""), ["pip", "install", "-r", "requirements.txt"]
        return None

    async def _make_environment(self, venv: Path, copy: Path, words: list[str]) -> None:
        await self._uv("uv venv", ["venv", "--python", _interpreter(copy), os.fspath(venv)], copy, venv)
        await self._uv(f"uv {' '.join(words[:2])}", words, copy, venv)

    async def _uv(self, what: str, words: list[str], copy: Path, venv: Path) -> None:
        environment = tool_environment(
            UV_CACHE_DIR=os.fspath(self._paths.cache / "uv"),
            UV_PROJECT_ENVIRONMENT=os.fspath(venv),
            UV_PYTHON_DOWNLOADS="never",
            UV_NO_PROGRESS="1",
            VIRTUAL_ENV=os.fspath(venv),
        )
        logs = self._paths.logs(self._service.id)
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        await run_tool(
            what,
            [find_uv(), *words],
            cwd=copy, environment=environment, log=logs / "prepare.log", progress=self._progress,
        )  # fmt: skip


def base_python() -> str:
    """The interpreter that this node's own environment was made from."""
    return getattr(sys, "_base_executable", None) or sys.executable


@functools.cache
def find_uv() -> str:
    """Raises PermanentFailure when uv is missing."""
    import uv

    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise PermanentFailure("NoUv", "uv is not installed", hint="pip install uv") from error


def _key(*what: str) -> str:
    return digest([*what, sys.version_info[:3], base_python()])


def _interpreter(copy: Path) -> str:
    """What the package asks for, else the node's own."""
    asked = copy / ".python-version"
    return asked.read_text("utf-8").split()[0] if asked.exists() else base_python()


def _read_project(copy: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))
    except ValueError as error:
        raise PermanentFailure("InvalidPackage", f"pyproject.toml is not TOML: {error}") from error


def _entry_point(copy: Path, venv: Path) -> tuple[str, ...]:
    python = os.fspath(venv / "python") if (venv / "python").exists() else base_python()
    for name in _MODULES:
        if (copy / name).is_file():
            return (python, name)
    if (copy / "__main__.py").is_file():
        return (python, ".")
    scripts = (
        _read_project(copy).get("project", {}).get("scripts", {})
        if (copy / "pyproject.toml").exists()
        else {}
    )
    if len(scripts) == 1:
        return (os.fspath(venv / next(iter(scripts))),)
    raise PermanentFailure(
        "NoEntryPoint",
        "the package has no main.py, app.py or __main__.py, and not exactly one script in pyproject.toml",
        hint="add one of them, or command: to the manifest",
    )
