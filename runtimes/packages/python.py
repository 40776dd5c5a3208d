"""Python packages: a virtual environment made by uv, and what to run in it.

`python_way` says what is installed. The environment is a folder of the revision's own, `.venv` beside its
code as pip's would be: what a program or a library writes there changes no other revision. What revisions
need in common is installed once and cloned (`trees`), so an edit that leaves the dependencies alone waits for
no installation. No interpreter is ever downloaded: the node's own serves, unless the package asks for another
that this machine has. The entry point is the manifest's command, else main.py, app.py, __main__.py, else the
project's only script; a project that cannot be built as a package, and has one of these, is an application
all the same.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from manifests.model.service import digest
from runtimes.base import Notice, PermanentFailure, RuntimeFailure
from runtimes.packages.environment import build_environment
from runtimes.packages.python_newest import find_older, newest_words
from runtimes.packages.python_way import (
    Way,
    choose_way,
    read_project,
    read_text,
    require_current,
    table,
    without_project,
)
from runtimes.packages.stored import InstallingPreparer, copier
from runtimes.packages.tools import ToolLog, run_tool
from runtimes.packages.trees import About
from runtimes.packages.uv import find_uv, uv_settings
from runtimes.packages.workspaces import of_uv, workspace_notice
from runtimes.preparer import Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifests.model.service import Service
    from runtimes.base import Progress
    from runtimes.packages.store import PackageStore
    from runtimes.packages.stored import Steps
    from runtimes.packages.tools import Workshop
    from runtimes.paths import Paths

_MODULES = ("main.py", "app.py")
#: How uv says that a package is none, rather than that it cannot get at what it takes to build one.
_NOT_BUILT = "build backend returned an error"
_VENV = ".venv"
#: Seconds. Nobody waits longer than this to be told what there would be for another Python.
_LONGEST_LOOK = 5.0


class PythonPreparer(InstallingPreparer):
    """Implements `runtimes.preparer.Preparer`."""

    def steps(self, service: Service, progress: Progress) -> Steps:
        return _Installation(self._paths, self._store, service, progress, self.workshop(service))

    def program(self, service: Service) -> Program:
        own = os.fspath(Path(base_python()).parent)
        if service.package is None:
            return Program((), os.fspath(self._paths.data(service.id)), (own,))
        copy = Path(service.package.path) if service.in_place else self._store.require(service)
        venv = copy / _VENV / "bin"
        path = (os.fspath(venv), own) if venv.is_dir() else (own,)
        argv = () if service.manifest.command else _entry_point(copy, venv)
        return Program(argv, os.fspath(copy), path)


class _Installation:
    """What has to be done in one copy of a package."""

    def __init__(
        self, paths: Paths, store: PackageStore, service: Service, progress: Progress, workshop: Workshop
    ) -> None:
        self._workshop = workshop
        self._paths = paths
        self._store = store
        self._service = service
        self._progress = progress
        self._log = ToolLog(paths.logs(service.id))
        #: What pip's configuration says, once it was asked.
        self._settings: dict[str, str] | None = None

    async def finish(self, copy: Path) -> Mapping[str, Any]:
        """The environment, then a look whether there is something to run."""
        project = read_project(copy)
        way = choose_way(copy, project)
        asked = _asked_python(copy, project)
        self._tell_workspace(copy)
        try:
            uses = await self._fill(copy, way, asked)
        except RuntimeFailure as failure:
            rest = without_project(copy, way) if self._is_application(copy, failure) else None
            if rest is None:
                raise
            await anyio.to_thread.run_sync(_remove, copy / _VENV)
            uses = await self._fill(copy, rest, asked)
        else:
            await self._install_project(copy, way)
        if not self._service.manifest.command:
            _entry_point(copy, copy / _VENV / "bin")
        return {"uses": uses} if uses else {}

    def _tell_workspace(self, copy: Path) -> None:
        assert self._service.package is not None
        locked = (copy / "uv.lock").exists()
        if not locked and (alone := workspace_notice(Path(self._service.package.path), of_uv)):
            self._say(alone)

    async def _fill(self, copy: Path, way: Way, asked: str) -> list[str]:
        """Returns the names of the trees that it has clones of now."""
        if not way.words and not asked:
            return []
        if way.words and not way.depends_on:
            await self._make_environment(copy, asked, way)
            await self._tell_older(copy, way)
            return []
        tree = self._store.tree(self._service, self._key(way, asked))
        about, run = tree.about(), copier(copy, self._log, self._progress)
        if about is None:
            await self._make_environment(copy, asked, way)
            await self._tell_older(copy, way)
            size = await anyio.to_thread.run_sync(_size, copy / _VENV)
            await tree.keep(copy, About((_VENV,), size), run)
        else:
            await tree.lay(copy, about, run)
        return [tree.folder.name]

    def _key(self, way: Way, asked: str) -> str:
        """All that an environment depends on; what is built for it may read the service's variables."""
        python = (asked, sys.version_info[:3], base_python())
        return digest([*way.words, *way.depends_on, *python, *self._service.manifest.env.items()])

    async def _install_project(self, copy: Path, way: Way) -> None:
        try:
            if way.project:
                await self._uv("uv build", way.project, copy)
        except RuntimeFailure as failure:
            if not self._is_application(copy, failure):
                raise

    def _is_application(self, copy: Path, failure: RuntimeFailure) -> bool:
        """Whether a project that could not be built runs without that; it is said."""
        if _NOT_BUILT not in failure.message or not (self._service.manifest.command or _module(copy)):
            return False
        said = "this is no package that can be built: what it depends on is installed, and it runs as it is"
        self._say(Notice(said, "RunsAsItIs"))
        return True

    async def _make_environment(self, copy: Path, asked: str, way: Way) -> None:
        """Relocatable: other copies get it as it is."""
        await anyio.to_thread.run_sync(require_current, copy, read_project(copy), way)
        place = os.fspath(copy / _VENV)
        make = ["venv", "--no-project", "--relocatable", "--python", asked or base_python(), place]
        try:
            await self._uv("uv venv", make, copy)
        except RuntimeFailure as failure:
            if not asked:
                raise
            raise RuntimeFailure(
                "NoInterpreter",
                f"the package asks for Python {asked}, which was not found on this machine",
                hint="install it, or change .python-version or requires-python; none is downloaded",
            ) from failure
        for name, content in way.files:
            _put(copy / name, content)
        if way.words:
            await self._uv(f"uv {' '.join(way.words[:2])}", way.words, copy)
        for name, _ in way.files:
            (copy / name).unlink()

    async def _tell_older(self, copy: Path, way: Way) -> None:
        """Says what would have been newer with a newer Python: nobody finds that out by himself."""
        if (words := newest_words(way)) is None:
            return
        log = ToolLog(self._paths.logs(self._service.id), name="newest.log")
        older: list[str] = []
        try:
            with anyio.move_on_after(_LONGEST_LOOK):
                await self._uv("uv pip compile", words, copy, log)
            older = await anyio.to_thread.run_sync(find_older, copy, copy / _VENV)
        except RuntimeFailure:
            # Whatever is wrong with it, what was installed is right.
            return
        for line in older:
            self._say(Notice(line, "OlderRelease"))

    async def _uv(self, what: str, words: Sequence[str], copy: Path, log: ToolLog | None = None) -> None:
        venv = copy / _VENV
        if self._settings is None:
            self._settings = await anyio.to_thread.run_sync(uv_settings)
        own = {
            "UV_CACHE_DIR": os.fspath(self._workshop.cache / "uv"),
            "UV_PROJECT_ENVIRONMENT": os.fspath(venv),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON_PREFERENCE": "system",
            "UV_NO_PROGRESS": "1",
            # The next copy gets the environment too: nothing may lead back to this one.
            "UV_NO_EDITABLE": "1",
            # As pip does; every revision would do it again for itself.
            "UV_COMPILE_BYTECODE": "1",
            # A link would let a program write into what other services get out of the cache.
            "UV_LINK_MODE": "copy",
            "VIRTUAL_ENV": os.fspath(venv),
        }
        environment = build_environment(
            self._service, [os.path.dirname(base_python())], self._workshop.inherited,
            **self._settings, **own,
        )  # fmt: skip
        await run_tool(
            what,
            [find_uv(), *words],
            cwd=copy, environment=environment, log=log or self._log, progress=self._progress,
            workshop=self._workshop,
        )  # fmt: skip

    def _say(self, text: str) -> None:
        self._progress(text)
        with self._log.open() as file:
            file.write(f"{text}\n".encode())


def base_python() -> str:
    """The interpreter that this node's own environment was made from."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _asked_python(copy: Path, project: Mapping[str, Any]) -> str:
    """What the package says about its interpreter; empty when the node's own will do."""
    pinned = read_text(copy / ".python-version").split()
    required = table(project, "project").get("requires-python")
    return pinned[0] if pinned else required if isinstance(required, str) else ""


def _entry_point(copy: Path, venv: Path) -> tuple[str, ...]:
    python = os.fspath(venv / "python") if (venv / "python").exists() else base_python()
    if module := _module(copy):
        return (python, module)
    scripts = table(table(read_project(copy), "project"), "scripts")
    if len(scripts) == 1:
        return (os.fspath(venv / next(iter(scripts))),)
    raise PermanentFailure(
        "NoEntryPoint",
        "the package has no main.py, app.py or __main__.py, and not exactly one script in pyproject.toml",
        hint="add one of them, or command: to the manifest",
    )


def _module(copy: Path) -> str:
    """What Python runs of the package itself; empty when there is nothing."""
    if found := next((name for name in _MODULES if (copy / name).is_file()), ""):
        return found
    return "." if (copy / "__main__.py").is_file() else ""


def _size(folder: Path) -> int:
    files = (os.path.join(path, name) for path, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(file).st_size for file in files)


def _put(place: Path, content: str) -> None:
    """A file where none was: what a build of before left there may be a link to any other. Raises OSError."""
    place.unlink(missing_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(content)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
