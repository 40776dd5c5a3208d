"""Python packages: a virtual environment made by uv, and what to run in it.

    uv.lock + pyproject.toml    uv sync --frozen, exactly what is locked
    pyproject.toml              the project itself where it can be built, else what it depends on
    requirements.txt            what it lists
    none of them                nothing is installed

The environment is shared by all revisions that need the same. No interpreter is ever downloaded: the node's
own serves, unless the package asks for another that this machine has. The entry point is the manifest's
command, else main.py, app.py, __main__.py, else the project's only script.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from manifests.service import digest
from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.environment import build_environment
from runtimes.packages import PackageStore
from runtimes.preparer import Program
from runtimes.tools import ToolLog, run_tool
from runtimes.uv import find_uv, uv_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from manifests.service import Service
    from runtimes.base import Progress
    from runtimes.paths import Paths

_MODULES = ("main.py", "app.py")
#: Packages of a uv.lock that come out of the package folder itself.
_IN_PACKAGE = re.compile(r"\b(editable|directory|path)\s*=")
#: Options in requirements that name no file of the package.
_NOT_LOCAL = ("#", "--hash", "--index-url", "--extra-index-url", "-i ", "--pre", "--no-", "--only-")


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


@dataclass(frozen=True, slots=True)
class _Way:
    """How an environment is filled: uv's words, and all that the result depends on besides Python."""

    words: tuple[str, ...]
    depends_on: tuple[str, ...]


class _Installation:
    """What has to be done in one copy of a package."""

    def __init__(self, paths: Paths, store: PackageStore, service: Service, progress: Progress) -> None:
        self._paths = paths
        self._store = store
        self._service = service
        self._progress = progress
        self._log = ToolLog(paths.logs(service.id))

    async def finish(self, copy: Path) -> None:
        """The environment, then a look whether there is something to run."""
        assert self._service.package is not None
        project = read_project(copy)
        way = _way(copy, project, self._service.package.digest)
        asked = _asked_python(copy, project)
        if way.words or asked:

            async def install(folder: Path) -> None:
                await self._make_environment(folder / "venv", copy, asked, way.words)

            # What is built on the way here may read them.
            env = self._service.manifest.env
            key = digest(
                [*way.words, *way.depends_on, asked, sys.version_info[:3], base_python(), *env.items()]
            )
            folder = await self._store.make_dependencies(self._service, key, install)
            (copy / ".venv").symlink_to(Path("..") / folder.name / "venv")
        if not self._service.manifest.command:
            _entry_point(copy, copy / ".venv" / "bin")

    async def _make_environment(self, venv: Path, copy: Path, asked: str, words: Sequence[str]) -> None:
        settings = await anyio.to_thread.run_sync(uv_settings)
        make = ["venv", "--no-project", "--python", asked or base_python(), os.fspath(venv)]
        try:
            await self._uv("uv venv", make, copy, venv, settings)
        except RuntimeFailure as failure:
            if not asked:
                raise
            raise RuntimeFailure(
                "NoInterpreter",
                f"the package asks for Python {asked}, which was not found on this machine",
                hint="install it, or change .python-version or requires-python; none is downloaded",
            ) from failure
        if words:
            await self._uv(f"uv {' '.join(words[:2])}", words, copy, venv, settings)

    async def _uv(
        self, what: str, words: Sequence[str], copy: Path, venv: Path, settings: Mapping[str, str]
    ) -> None:
        own = {
            "UV_CACHE_DIR": os.fspath(self._paths.cache / "uv"),
            "UV_PROJECT_ENVIRONMENT": os.fspath(venv),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON_PREFERENCE": "system",
            "UV_NO_PROGRESS": "1",
            # The copy is moved to its place afterwards: nothing may lead back to where it was.
            "UV_NO_EDITABLE": "1",
            "VIRTUAL_ENV": os.fspath(venv),
        }
        environment = build_environment(self._service, [os.path.dirname(base_python())], **settings, **own)
        await run_tool(
            what,
            [find_uv(), *words],
            cwd=copy, environment=environment, log=self._log, progress=self._progress,
        )  # fmt: skip


def _way(copy: Path, project: Mapping[str, Any], content: str) -> _Way:
    """No words when nothing has to be installed. `content` is the digest of the whole package."""
    about = _text(copy / "pyproject.toml")
    locked = _text(copy / "uv.lock")
    if project and locked:
        local = _IN_PACKAGE.search(locked) is not None
        words = ("sync", "--frozen", "--no-dev", "--no-editable")
        return _Way(words, (content,) if local else (locked, about))
    if "build-system" in project or _table(_table(project, "project"), "scripts"):
        return _Way(("pip", "install", "."), (content,))
    if "project" in project:
        return _Way(("pip", "install", "-r", "pyproject.toml"), (about,))
    if wanted := _text(copy / "requirements.txt"):
        local = any(_is_local(line.strip()) for line in wanted.splitlines())
        return _Way(("pip", "install", "-r", "requirements.txt"), (wanted, content if local else ""))
    return _Way((), ())


def _is_local(line: str) -> bool:
    """Whether a line of requirements can name files of the package; then all of it counts."""
    if line.startswith(_NOT_LOCAL):
        return False
    return line.startswith(("-", ".", "/")) or "file:" in line or ("/" in line and "://" not in line)


def base_python() -> str:
    """The interpreter that this node's own environment was made from."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _asked_python(copy: Path, project: Mapping[str, Any]) -> str:
    """What the package says about its interpreter; empty when the node's own will do."""
    pinned = _text(copy / ".python-version").split()
    required = _table(project, "project").get("requires-python")
    return pinned[0] if pinned else required if isinstance(required, str) else ""


def read_project(copy: Path) -> dict[str, Any]:
    """pyproject.toml, empty when there is none. Raises PermanentFailure for one that is broken."""
    import tomllib

    try:
        return tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise PermanentFailure("InvalidPackage", f"pyproject.toml is not TOML: {error}") from error


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A table of a TOML document. Raises PermanentFailure when something else stands there."""
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise PermanentFailure("InvalidPackage", f"{key} in pyproject.toml is not a table")
    return value


def _text(file: Path) -> str:
    """Empty when there is none; whatever its encoding, another content is another text."""
    try:
        return file.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _entry_point(copy: Path, venv: Path) -> tuple[str, ...]:
    python = os.fspath(venv / "python") if (venv / "python").exists() else base_python()
    for name in _MODULES:
        if (copy / name).is_file():
            return (python, name)
    if (copy / "__main__.py").is_file():
        return (python, ".")
    scripts = _table(_table(read_project(copy), "project"), "scripts")
    if len(scripts) == 1:
        return (os.fspath(venv / next(iter(scripts))),)
    raise PermanentFailure(
        "NoEntryPoint",
        "the package has no main.py, app.py or __main__.py, and not exactly one script in pyproject.toml",
        hint="add one of them, or command: to the manifest",
    )
