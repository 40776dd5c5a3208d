"""Which tool installs a Node package, by its author's choice: npm, Yarn (classic or modern) or pnpm.

`packageManager` in package.json decides, else the lock file. npm comes with Node; the others are npm
packages, fetched once in the version that was asked for, else in the one that reads this lock. Locks are
taken as they are: one that does not fit its package.json fails, as the author's own tools let it fail.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtimes.base import PermanentFailure
from runtimes.packages.node_versions import install_alone, npm_settings

if TYPE_CHECKING:
    from pathlib import Path

    from runtimes.base import Progress
    from runtimes.packages.node_versions import NodeTools
    from runtimes.packages.tools import ToolLog

#: Lock file → the tool that wrote it, those first that count where there are several.
LOCK_FILES = {
    "npm-shrinkwrap.json": "npm", "package-lock.json": "npm", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn",
}  # fmt: skip
_FOREIGN = {"bun.lock": "bun", "bun.lockb": "bun", "deno.lock": "deno"}
#: Files that these tools read their settings from.
SETTINGS = (".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".nvmrc", ".node-version")
_MANAGER = re.compile(r"(?P<name>[a-z]+)@(?P<version>[0-9A-Za-z.^~*x-]+)(\+.*)?")
#: The versions that read a lock of this version.
_PNPM_OF_LOCK = {"5": "^7", "6": "^8", "9": "^10"}
_YARN_OF_LOCK = {"4": "^3", "5": "^3", "6": "^3", "7": "^4", "8": "^4", "9": "^4"}
_CLASSIC = "^1.22"
#: What modern Yarn leaves beside node_modules or instead of it.
_YARN_MAKES = (".pnp.cjs", ".pnp.loader.mjs", ".pnp.data.json")
_YARN_KEEPS = (".yarn/cache", ".yarn/unplugged", ".yarn/install-state.gz", ".yarn/build-state.yml")


@dataclass(frozen=True, slots=True)
class Manager:
    """A tool, the version or range of it, and the lock that it goes by, if any."""

    name: str
    version: str = ""
    lock: str = ""

    @property
    def modern_yarn(self) -> bool:
        major = re.match(r"[\^~]?(\d+)", self.version)
        return self.name == "yarn" and not (major and int(major[1]) < 2)

    @property
    def package(self) -> str:
        """The npm package that it is; npm itself comes with Node."""
        return "@yarnpkg/cli-dist" if self.modern_yarn else self.name

    def install(self, *, with_dev: bool) -> list[str]:
        """The words that install as plain `npm ci` would. `with_dev`: whatever NODE_ENV says."""
        if self.name == "npm":
            return ["ci" if self.lock else "install", *(["--include=dev"] if with_dev else [])]
        if self.name == "pnpm":
            frozen = "--frozen-lockfile" if self.lock else "--no-frozen-lockfile"
            # pnpm's links to its own store would be one file for all revisions of all services.
            own = [
                "--config.package-import-method=clone-or-copy",
                "--config.manage-package-manager-versions=false",
            ]
            return ["install", frozen, *own, *(["--prod=false"] if with_dev else [])]
        if self.modern_yarn:
            return ["install", "--immutable" if self.lock else "--no-immutable"]
        locked = ["--frozen-lockfile"] if self.lock else []
        return ["install", "--non-interactive", *locked, *(["--production=false"] if with_dev else [])]

    def makes(self, copy: Path) -> tuple[str, ...]:
        """What an installation leaves in a package, as far as it is not there before."""
        lock = {"npm": "package-lock.json", "pnpm": "pnpm-lock.yaml", "yarn": "yarn.lock"}[self.name]
        names = ["node_modules", *([] if self.lock else [lock])]
        if self.modern_yarn:
            names += [*_YARN_MAKES, *(_YARN_KEEPS if (copy / ".yarn").exists() else [".yarn"])]
        return tuple(name for name in names if not os.path.lexists(copy / name))


def choose_manager(copy: Path, package: dict[str, Any]) -> Manager:
    """Raises PermanentFailure for a package that only a tool can install which this node does not have."""
    written = package.get("packageManager")
    found = _MANAGER.fullmatch(written) if isinstance(written, str) else None
    locks = {tool: name for name, tool in reversed(LOCK_FILES.items()) if (copy / name).exists()}
    if found and found["name"] in LOCK_FILES.values():
        name = found["name"]
        return Manager(name, "" if name == "npm" else found["version"], locks.get(name, ""))
    foreign = found["name"] if found else next((t for n, t in _FOREIGN.items() if (copy / n).exists()), "")
    if foreign and not locks:
        raise PermanentFailure(
            "PrepareFailed",
            f"the dependencies of this package are locked for {foreign}, which this node does not have",
            hint="add a package-lock.json (npm install --package-lock-only), a yarn.lock or a pnpm-lock.yaml",
        )
    name, lock = next(((t, n) for n, t in LOCK_FILES.items() if locks.get(t) == n), ("npm", ""))
    return Manager(name, _version_of_lock(name, copy / lock) if lock else "", lock)


def _version_of_lock(name: str, lock: Path) -> str:
    if name == "npm":
        return ""
    text = lock.read_text("utf-8", "replace")
    if name == "pnpm":
        found = re.search(r"^lockfileVersion:\s*['\"]?(\d+)", text, re.MULTILINE)
        return _PNPM_OF_LOCK.get(found[1] if found else "", "^10")
    found = re.search(r"^__metadata:\s*\n\s+version:\s*['\"]?(\d+)", text, re.MULTILINE)
    return _YARN_OF_LOCK.get(found[1], "^4") if found else _CLASSIC


@dataclass(frozen=True, slots=True)
class Command:
    """A tool that is here: the words that run it, and the folders in which scripts find it by name."""

    words: tuple[str, ...]
    path: tuple[str, ...]


async def get_manager(
    manager: Manager, node: NodeTools, usual: NodeTools, cache: Path, log: ToolLog, progress: Progress
) -> Command:
    """Fetches it where it is not here yet. `usual` is the Node whose npm fetches. Raises RuntimeFailure."""
    path = (os.fspath(node.node.parent), os.fspath(usual.node.parent))
    if manager.name == "npm":
        return Command((os.fspath(_runner(node, usual)), os.fspath(node.npm)), path)
    spec = f"{manager.package}@{manager.version or 'latest'}"
    place = cache / "tools" / spec.replace("/", "+")
    if not place.exists():
        await install_alone(usual, spec, place, log, progress)
    folder = place / "node_modules" / manager.package
    script = folder / _program_of(folder, manager.name)
    return Command((os.fspath(node.node), os.fspath(script)), (os.fspath(place / "node_modules/.bin"), *path))


def _runner(node: NodeTools, usual: NodeTools) -> Path:
    """npm is not for every Node; its scripts get the chosen one all the same, by their PATH."""
    from runtimes.packages.node_versions import engine_wish

    about = node.npm.parent.parent / "package.json"
    try:
        wish = engine_wish(json.loads(about.read_bytes()), "npm")
    except (OSError, ValueError):
        return node.node
    return node.node if wish is None or wish.range.allows(node.version) else usual.node


def _program_of(folder: Path, name: str) -> str:
    try:
        found = json.loads((folder / "package.json").read_bytes())["bin"]
        program = found if isinstance(found, str) else found[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PermanentFailure("PrepareFailed", f"{folder.name} is no program called {name}") from error
    return str(program)


def settings(manager: Manager, cache: Path) -> dict[str, str]:
    """Variables for the tool: one cache for all packages, and no questions."""
    yarn = {
        "YARN_CACHE_FOLDER": os.fspath(cache / "yarn"),
        "YARN_ENABLE_TELEMETRY": "0",
    }
    if manager.modern_yarn:
        del yarn["YARN_CACHE_FOLDER"]
        yarn |= {"YARN_GLOBAL_FOLDER": os.fspath(cache / "yarn-modern"), "YARN_ENABLE_PROGRESS_BARS": "0"}
        # The others read it themselves.
        registry = {name.lower(): value for name, value in os.environ.items()}.get("npm_config_registry")
        yarn |= {"YARN_NPM_REGISTRY_SERVER": registry} if registry else {}
    pnpm = {
        "npm_config_store_dir": os.fspath(cache / "pnpm"),
        "pnpm_config_store_dir": os.fspath(cache / "pnpm"),
    }
    own = {"npm": {}, "yarn": yarn, "pnpm": {**pnpm, "CI": "true"}}[manager.name]
    return {**npm_settings(cache), "COREPACK_ENABLE_STRICT": "0", **own}
