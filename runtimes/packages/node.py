"""Node packages: installed and built in their own copy by their author's tool, and what to run.

A copy gets what `npm ci && npm run build` would leave in that folder: all of the package's files are there
when scripts run, development dependencies too, and `node_modules` is a folder of this copy alone. Where one
before it was installed for the same reasons, it gets a clone of that (`runtimes.packages.trees`).

The entry point is the original Atek's: `node <package.json main, else index.js>`; `scripts.start` only where
neither file exists.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from manifests.model.service import digest
from runtimes.base import Notice, RuntimeFailure
from runtimes.data.removal import remove_tree
from runtimes.packages.environment import build_environment
from runtimes.packages.node_package import (
    INSTALL_KEYS,
    entry_point,
    install_scripts,
    is_from_outside,
    is_local,
    needs_installing,
    read_package,
)
from runtimes.packages.node_tools import SETTINGS, Manager, choose_manager, get_manager, settings
from runtimes.packages.node_versions import (
    Nodes,
    engine_wish,
    find_node,
    locked_engines,
    newer_than,
    older_releases,
    wished,
)
from runtimes.packages.stored import InstallingPreparer, copier
from runtimes.packages.tools import ToolLog, run_tool
from runtimes.packages.trees import About, contents, inside, listing
from runtimes.packages.workspaces import of_node, workspace_notice
from runtimes.packages.written_files import watching
from runtimes.preparer import Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifests.model.service import Service
    from runtimes.base import Progress
    from runtimes.packages.node_tools import Command
    from runtimes.packages.node_versions import NodeTools, Wish
    from runtimes.packages.store import PackageStore
    from runtimes.packages.stored import Steps
    from runtimes.packages.tools import Workshop
    from runtimes.packages.trees import Run, Tree
    from runtimes.packages.workshop import Workshops
    from runtimes.packages.written_files import Seen
    from runtimes.paths import Paths


class NodePreparer(InstallingPreparer):
    """Implements `runtimes.preparer.Preparer`."""

    def __init__(self, paths: Paths, workshops: Workshops | None = None) -> None:
        super().__init__(paths, workshops)
        self._nodes = Nodes(paths.cache / "node")

    def steps(self, service: Service, progress: Progress) -> Steps:
        workshop = self.workshop(service)
        return _Installation(self._paths, self._store, self._nodes, service, progress, workshop)

    def program(self, service: Service) -> Program:
        if service.package is None:
            tools = find_node()
            return Program((), os.fspath(self._paths.data(service.id)), (os.fspath(tools.node.parent),))
        copy = Path(service.package.path) if service.in_place else self._store.require(service)
        tools = self._chosen(copy)
        # As Node looks for libraries: in the folders above, too.
        above = copy.parents if service.in_place else ()
        path = (
            *(os.fspath(each / "node_modules" / ".bin") for each in (copy, *above)),
            os.fspath(tools.node.parent),
        )
        if service.manifest.command:
            return Program((), os.fspath(copy), path)
        return Program(entry_point(copy, read_package(copy), node_words(copy, tools)), os.fspath(copy), path)

    def _chosen(self, copy: Path) -> NodeTools:
        """The Node that this copy was made for, as long as it is there."""
        notes = self._store.notes(copy)
        return self._nodes.at(str(notes.get("node", "")), str(notes.get("npm", ""))) or find_node()


def node_words(copy: Path, tools: NodeTools) -> list[str]:
    """Runs a file of a copy; where Yarn keeps packages in archives, with what finds them there."""
    words = [os.fspath(tools.node)]
    if (copy / ".pnp.cjs").exists():
        words += ["--require", os.fspath(copy / ".pnp.cjs")]
    if (copy / ".pnp.loader.mjs").exists():
        words += ["--experimental-loader", (copy / ".pnp.loader.mjs").as_uri()]
    return words


@dataclass(slots=True)
class _Found:
    """What an installation brought. `engines` are the ranges of Node that packages ask for."""

    size: int = 0
    scripts: bool = False
    engines: list[Wish] = field(default_factory=list)


class _Installation:
    """What has to be done in one copy of a package."""

    def __init__(
        self,
        paths: Paths,
        store: PackageStore,
        nodes: Nodes,
        service: Service,
        progress: Progress,
        workshop: Workshop,
    ) -> None:
        self._workshop = workshop
        self._paths = paths
        self._store = store
        self._nodes = nodes
        self._service = service
        self._progress = progress
        self._log = ToolLog(paths.logs(service.id))

    async def finish(self, copy: Path) -> Mapping[str, Any]:
        """Dependencies, then the build, then a look whether there is something to run."""
        package = read_package(copy)
        wish = wished(copy, package)
        node = await self._choose_node([wish] if wish else [])
        notes: dict[str, Any] = {}
        build = "build" in package.get("scripts", {})
        if build or needs_installing(copy, package):
            manager = choose_manager(copy, package)
            if needs_installing(copy, package):
                self._tell_workspace(manager)
                node, notes = await self._install(copy, package, manager, wish, node)
            if build:
                command = await self._command(manager, node)
                await self._run(copy, manager, command, ["run", "build"])
        if not self._service.manifest.command:
            entry_point(copy, package, node_words(copy, node))
        return {**notes, "node": os.fspath(node.node), "npm": os.fspath(node.npm)}

    async def _choose_node(self, wishes: list[Wish]) -> NodeTools:
        node = await self._nodes.choose(wishes, self._log, self._progress)
        if wishes and node != find_node():
            asked = "; ".join(map(str, wishes))
            self._say(f"{node} instead of {find_node()}: {asked}")
        return node

    def _tell_workspace(self, manager: Manager) -> None:
        assert self._service.package is not None
        alone = not manager.lock and workspace_notice(Path(self._service.package.path), of_node)
        if alone:
            self._say(alone)

    def _say(self, line: str) -> None:
        self._progress(line if isinstance(line, Notice) else Notice(line, "NodeChosen"))
        with self._log.open() as file:
            file.write(f"{line}\n".encode())

    async def _install(
        self, copy: Path, package: dict[str, Any], manager: Manager, wish: Wish | None, node: NodeTools
    ) -> tuple[NodeTools, dict[str, Any]]:
        """The Node it was installed for, and what is to be noted about it."""
        tree = self._store.tree(self._service, self._key(copy, package, manager))
        about = tree.about()
        if about and (before := await self._usable(copy, about)):
            await tree.lay(copy, about, self._copier(copy))
            return before, _uses(tree, about)
        names = manager.makes(copy)
        first = await anyio.to_thread.run_sync(listing, copy, ())
        seen, found, node = await self._install_for(copy, package, manager, wish, node, names)
        if manager == Manager("npm"):
            await self._tell_older(copy, node)
        names = tuple(name for name in inside(copy, names) if os.path.lexists(copy / name))
        after = await anyio.to_thread.run_sync(listing, copy, names)
        wrote = after != first or any(os.path.lexists(copy / name) for name in seen.written)
        scripts = found.scripts or bool(install_scripts(copy, package)) or is_local(copy, package)
        runner = {"node": os.fspath(node.node), "npm": os.fspath(node.npm), "version": str(node.version)}
        about = About(names, found.size, runner)
        if wrote or is_from_outside(package) or (scripts and not seen.complete):
            about = About(tuple(os.listdir(copy)), found.size, runner, only=self._content())
        elif scripts:
            reads = await anyio.to_thread.run_sync(contents, copy, sorted(seen.read))
            about = About(names, found.size, runner, reads=reads, listing=after)
        if not about.only or "build" in package.get("scripts", {}):
            await tree.keep(copy, about, self._copier(copy))
        return node, _uses(tree, about)

    async def _install_for(
        self,
        copy: Path,
        package: dict[str, Any],
        manager: Manager,
        wish: Wish | None,
        node: NodeTools,
        names: Sequence[str],
    ) -> tuple[Seen, _Found, NodeTools]:
        """Once more where what was installed turns out to ask for another Node."""
        own = [wish] if wish else []
        node = await self._suiting(node, own, locked_engines(copy / manager.lock) if manager.lock else [])
        seen, found = await self._install_once(copy, package, manager, node, names)
        better = await self._suiting(node, own, found.engines)
        if better == node:
            return seen, found, node
        for name in inside(copy, names):
            await anyio.to_thread.run_sync(remove_tree, copy / name)
        seen, found = await self._install_once(copy, package, manager, better, names)
        return seen, found, better

    async def _suiting(self, node: NodeTools, own: Sequence[Wish], others: Sequence[Wish]) -> NodeTools:
        """This Node, or another one if there is one that suits everybody."""
        lacking = next((each for each in others if not each.range.allows(node.version)), None)
        if lacking is None:
            return node
        try:
            wishes = [*own, lacking, newer_than(node), *others]
            better = await self._nodes.choose(wishes, self._log, self._progress)
        except RuntimeFailure:
            # Nobody can please everybody: the tool warns about it, as it would anywhere.
            return node
        self._say(f"{better} instead of {node}: {lacking}")
        return better

    async def _install_once(
        self, copy: Path, package: dict[str, Any], manager: Manager, node: NodeTools, names: Sequence[str]
    ) -> tuple[Seen, _Found]:
        # NODE_ENV of the running program must not leave out what its build needs.
        with_dev = "build" in package.get("scripts", {}) or bool(install_scripts(copy, package))
        command = await self._command(manager, node)
        with watching(copy, names) as seen:
            await self._run(copy, manager, command, manager.install(with_dev=with_dev))
        return seen, await anyio.to_thread.run_sync(_look, [copy / name for name in inside(copy, names)])

    async def _usable(self, copy: Path, about: About) -> NodeTools | None:
        """The Node of what was installed before, where that is what would be installed now."""
        if about.only not in ("", self._content()):
            return None
        if about.reads is not None:
            if await anyio.to_thread.run_sync(listing, copy, about.names) != about.listing:
                return None
            if await anyio.to_thread.run_sync(contents, copy, about.reads) != about.reads:
                return None
        node = self._nodes.at(about.runner.get("node", ""), about.runner.get("npm", ""))
        return node if node and str(node.version) == about.runner.get("version") else None

    def _content(self) -> str:
        assert self._service.package is not None
        return self._service.package.digest

    def _key(self, copy: Path, package: dict[str, Any], manager: Manager) -> str:
        """All that the tool goes by. Which Node it is follows from that, and is compared by itself."""
        wanted = {name: package.get(name) for name in INSTALL_KEYS}
        files = {name: _text(copy / name) for name in (manager.lock, *SETTINGS) if name}
        build = "build" in package.get("scripts", {})
        scripts = install_scripts(copy, package)
        parts = [
            wanted,
            files,
            scripts,
            build,
            manager.name,
            manager.version,
            manager.lock,
            os.uname().machine,
        ]
        # Install scripts may read them.
        return digest([*parts, dict(self._service.manifest.env)])

    async def _command(self, manager: Manager, node: NodeTools) -> Command:
        usual = await anyio.to_thread.run_sync(find_node)
        return await get_manager(manager, node, usual, self._paths.cache, self._log, self._progress)

    async def _tell_older(self, copy: Path, node: NodeTools) -> None:
        """npm prefers what says that it works with this Node; another one that is here could have more.

        Only where there is no lock, which decides otherwise. Who cannot say, says nothing.
        """
        newer = await anyio.to_thread.run_sync(self._nodes.newest)
        if newer.version <= node.version:
            return
        manager, said = Manager("npm"), bytearray()
        command = await self._command(manager, newer)
        environment = self._environment(copy, manager, command)
        with suppress(OSError, RuntimeFailure):
            await self._workshop.execute(
                [*command.words, "outdated", "--json"],
                on_output=said.extend, on_errors=lambda _: None, environment=environment, cwd=copy,
            )  # fmt: skip
        for line in older_releases(said):
            self._progress(Notice(f"{node} gets {line}, which {newer} could have", "OlderRelease"))

    def _environment(self, copy: Path, manager: Manager, command: Command) -> dict[str, str]:
        path = [os.fspath(copy / "node_modules" / ".bin"), *command.path]
        shop = self._workshop
        return build_environment(self._service, path, shop.inherited, **settings(manager, shop.cache))

    async def _run(self, copy: Path, manager: Manager, command: Command, words: Sequence[str]) -> None:
        environment = self._environment(copy, manager, command)
        what = " ".join([manager.name, *(word for word in words if not word.startswith("-"))])
        await run_tool(
            what, [*command.words, *words],
            cwd=copy, environment=environment, log=self._log, progress=self._progress,
            workshop=self._workshop,
        )  # fmt: skip

    def _copier(self, copy: Path) -> Run:
        return copier(copy, self._log, self._progress)


def _uses(tree: Tree, about: About) -> dict[str, Any]:
    """What is of use for one content only is of none once that is prepared."""
    return {} if about.only else {"uses": [tree.folder.name]}


def _text(file: Path) -> str | None:
    """What decides about the dependencies; whatever its encoding, another content is another text."""
    try:
        return file.read_text("utf-8", "surrogateescape")
    except OSError:
        return None


def _look(places: Sequence[Path]) -> _Found:
    """Goes through what was installed: each file's size, each package's scripts and engines."""
    found = _Found()
    for place in places:
        for path, _, names in os.walk(place):
            for name in names:
                with suppress(OSError):
                    found.size += os.lstat(os.path.join(path, name)).st_size
            if "package.json" in names and _is_package(path):
                _look_at(Path(path), found)
    return found


def _is_package(folder: str) -> bool:
    """Where a tool puts packages; others of that name are parts of one."""
    above, _ = os.path.split(folder)
    if os.path.basename(above).startswith("@"):
        above = os.path.dirname(above)
    return os.path.basename(above) == "node_modules"


def _look_at(folder: Path, found: _Found) -> None:
    try:
        package = json.loads((folder / "package.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(package, dict):
        return
    scripts = install_scripts(folder, package)
    found.scripts |= any(name in scripts for name in ("preinstall", "install", "postinstall"))
    if wish := engine_wish(package, folder.name):
        found.engines.append(wish)
