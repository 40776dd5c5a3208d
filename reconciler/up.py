"""A real node: the ports that `Node` is made of, over this machine's files, processes and sockets."""

from __future__ import annotations

import gc
import os
import random
import secrets
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread

from manifests.model.git import GitPackage
from manifests.model.nodes import Place
from manifests.resolve import files_of, resolve
from manifests.sources.packages import PackageWatcher
from reconciler.apis.inspect import public_config
from reconciler.apis.rename import open_installed
from reconciler.decide.rewriting import Rewriting, as_fetched
from reconciler.drive.git_packages import GitPackages
from reconciler.drive.keep_going import keep_going
from reconciler.drive.sources import make_sources
from reconciler.drive.status import timestamp
from reconciler.errors import UserError
from reconciler.node import Node
from reconciler.peers.standalone import Alone
from reconciler.serve.listeners import make_router, open_sockets, serve
from reconciler.state.core_services import core_services, daemon_socket, shipped_core_services
from reconciler.state.data_owners import DataFolders
from reconciler.state.habits import FILE as HABITS
from reconciler.state.habits import HabitsFile
from reconciler.state.home import Home
from reconciler.state.releases import FILE as RELEASES
from reconciler.state.releases import Releases
from reconciler.state.settings import load_settings
from reconciler.state.store import FileStore
from reconciler.state.tokens import ensure_tokens, new_token
from runtimes.base import RuntimeFailure
from runtimes.docker.on_demand import DockerOnDemand, SwarmOnDemand
from runtimes.docker.prober import ContainerProber
from runtimes.docker.swarm_prober import SwarmProber
from runtimes.packages.git import Repositories
from runtimes.packages.store import in_use
from runtimes.paths import REPOSITORIES, Paths, make_run_directory
from runtimes.probes import EndpointProber
from runtimes.processes.logs import Sizes, trim_all
from runtimes.processes.process import ProcessHost
from runtimes.registry import make_runtimes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from hyper.client import HyperClient
    from manifests.model.merge import Winner
    from manifests.model.service import Service
    from reconciler.apis.installed import InstalledServices
    from reconciler.drive.desired import Root
    from reconciler.http.messages import Handler
    from reconciler.peers.port import Member
    from reconciler.port import Console
    from reconciler.state.settings import Settings
    from runtimes.router.remote import RouterProcess

VERSION = "0.3.0"
#: Seconds after the sources were read until everything else begins that is not needed to start programs.
AFTER_BOOT = 0.02
#: Seconds between two looks at the size of the services' logs.
LOG_CHECK = 1.0


async def run_node(
    home_path: Path, paths: Sequence[Path], flags: Mapping[str, Any], *, console: Console
) -> int:
    """Runs a node in this home until it is asked to end; returns its exit status. Raises UserError."""
    # Marks in environments and links in /proc are compared as text: one home, one spelling.
    Home(home_path).check(())
    home_path = home_path.resolve()
    home = Home(home_path)
    home.check(())
    settings = load_settings(home_path, dict(flags))
    paths = [*(home_path / file for file in settings.sources.files), *paths]
    about = {
        "name": settings.name,
        "labels": list(settings.labels),
        "version": VERSION,
        "pid": os.getpid(),
        "home": str(home_path),
        "paths": [str(path) for path in paths],
        "startedAt": timestamp(time.time()),
    }
    home.check(paths)
    home.open(about)
    try:
        tokens = ensure_tokens(home_path)
        run = make_run_directory(home_path)
        with closing(open_sockets(run, settings.port)) as sockets:
            about["address"] = f"http://{settings.domain}:{sockets.port}"
            home.write_about(about)
            installed = await open_installed(home_path)
            router = make_router(sockets, settings, home_path, tokens)
            shipped = shipped_core_services(settings, home_path, run)
            core = core_services(settings, shipped)
            client = _make_client(daemon_socket(core, run))
            with closing(ProcessHost(Paths(home_path, run, sockets.port))) as host:
                docker = DockerOnDemand(host.paths, settings.docker.binds)
                swarm = SwarmOnDemand(host.paths)
                git = GitPackages(Repositories(home_path / REPOSITORIES), Releases(home_path / RELEASES))
                habits = HabitsFile(home_path / HABITS)
                rewriting = Rewriting(habits.read())
                node = _make_node(
                    home, settings, about, paths, host, router, installed, shipped, client, docker, swarm,
                    git, rewriting, habits,
                )  # fmt: skip
                node.notices += sockets.lacking
                config = public_config(settings, core, port=sockets.port, version=VERSION)
                make_inner = partial(_make_inner, node, home, settings, config, installed, git)
                open_ways_in = partial(serve, node, sockets, router, make_inner)
                finish = partial(_finish_rename, node, installed)
                await _serve(
                    node, host, client, (docker, swarm), git, rewriting, open_ways_in, finish, console
                )
    except RuntimeFailure as failure:
        raise UserError(failure.message, hint=failure.hint) from failure
    finally:
        home.close()
    return 0


async def _serve(
    node: Node,
    host: ProcessHost,
    client: HyperClient | None,
    engines: Sequence[DockerOnDemand | SwarmOnDemand],
    git: GitPackages,
    rewriting: Rewriting,
    open_ways_in: Callable[[], Awaitable[None]],
    finish: Callable[[], Awaitable[None]],
    console: Console,
) -> None:
    """Everything that goes on next to each other while the node runs."""
    async with anyio.create_task_group() as tasks:
        if client is not None:
            tasks.start_soon(client.run)
        for engine in engines:
            tasks.start_soon(engine.run)
        tasks.start_soon(_open, open_ways_in)
        tasks.start_soon(console, node)
        for run in (
            host.run,
            partial(_trim_logs, host.paths),
            partial(_watch_packages, node, git, rewriting),
            git.run,
            finish,
            partial(git.collect, partial(_packages_in_use, node)),
        ):
            tasks.start_soon(keep_going, run, node.failed)
        await node.run()
        tasks.cancel_scope.cancel()


def _make_node(
    home: Home,
    settings: Settings,
    about: Mapping[str, Any],
    paths: Sequence[Path],
    host: ProcessHost,
    router: RouterProcess,
    installed: InstalledServices,
    shipped: Sequence[Mapping[str, Any]],
    client: HyperClient | None,
    docker: DockerOnDemand,
    swarm: SwarmOnDemand,
    git: GitPackages,
    rewriting: Rewriting,
    habits: HabitsFile,
) -> Node:
    identity, data = _identity_of(home, installed), DataFolders(home.path)
    node = Node(
        about=about,
        sources=make_sources(home.path, paths, home.path / "state" / "snapshots", shipped),
        resolver=partial(resolve_in_thread, git, rewriting, habits),
        runtimes=make_runtimes(host, docker, swarm),
        prober=SwarmProber(swarm, ContainerProber(docker, EndpointProber(host))),
        store=FileStore(home.path / "state" / "services"),
        data=data,
        router=router,
        nodes=_make_member(home.path, settings, client, identity),
        identity=identity,
        new_id=lambda: secrets.token_hex(5),
        new_token=lambda _: new_token(),
        jitter=random.random,
        keep_services=settings.keep_services,
    )
    docker.lost = partial(node.reconciler.lost, docker.name)
    swarm.lost = partial(node.reconciler.lost, swarm.name)
    swarm.moved = node.reconciler.moved
    wire_packages(node, git, rewriting)
    node.also_in_use = partial(in_use, host.paths)
    node.notices += [*installed.problems, *data.problems]
    router.died = lambda message: node.events.emit("", "RouterEnded", message, warning=True)
    return node


def _make_client(socket: str | None) -> HyperClient | None:
    if socket is None:
        return None
    # Not at the top, like the membership: a node without a daemon starts its programs 50 ms sooner.
    from hyper.client import HyperClient

    return HyperClient(socket)


def _make_member(
    home: Path,
    settings: Settings,
    client: HyperClient | None,
    identity: Callable[[str], Mapping[str, str]],
) -> Member:
    if client is None:
        return Alone()
    from reconciler.peers.membership import Membership

    return Membership(
        client,
        home,
        Place(settings.name, frozenset(settings.labels)),
        version=VERSION,
        key_of=lambda service_id: identity(service_id)["key"],
        wall=time.time,
        known_peers=[peer.key for peer in settings.hyper.peers],
        open_to_all=not settings.hyper.known_peers_only,
    )


def _identity_of(home: Home, installed: InstalledServices) -> Callable[[str], Mapping[str, str]]:
    """A service's key and owner: what follows from its id, unless it was installed with its own."""

    def identity(service_id: str) -> Mapping[str, str]:
        own = installed.identity(service_id, home.identity(service_id))
        return {**own, "owner": installed.owner(service_id)}

    return identity


async def resolve_in_thread(
    git: GitPackages, rewriting: Rewriting, habits: HabitsFile, winner: Winner, generation: int
) -> Service:
    """Reading a package takes a while on a slow disk; a bare command takes none."""
    declared, source = git.located(winner)
    if declared.manifest.source is None:
        return resolve(declared, source, generation)
    # A thread knows nothing of a cancellation by itself, and a node that ends would wait for it.
    in_thread = partial(resolve, declared, source, generation, check=anyio.from_thread.check_cancelled)
    service = await anyio.to_thread.run_sync(in_thread)
    if git.has(winner):
        return as_fetched(service, git.packages(service.id))
    files = files_of(service.package.path) if service.package else {}
    service = rewriting.taken(service, files, time.monotonic())
    if habits.differs(found := rewriting.found_out()):
        await anyio.to_thread.run_sync(habits.write, found)
    return service


async def _finish_rename(node: Node, installed: InstalledServices) -> None:
    if installed.renaming is not None:
        from reconciler.apis.rename_recorded import finish_recorded

        await finish_recorded(node, installed)


async def _open(open_ways_in: Callable[[], Awaitable[None]]) -> None:
    """Opens the ways in. Whoever connects while the first programs start waits in the backlog."""
    await anyio.sleep(AFTER_BOOT)
    # What was made until now stays; the collector need not look at it again and again.
    gc.freeze()
    gc.enable()
    await open_ways_in()


def _make_inner(
    node: Node,
    home: Home,
    settings: Settings,
    config: Mapping[str, Any],
    installed: InstalledServices,
    git: GitPackages,
) -> Handler:
    """What answers to requests that the router forwards to the node: system APIs and pages."""
    from reconciler.apis.assemble import make_system_apis
    from reconciler.apis.repositories import GitRepositories
    from reconciler.serve.health import health

    return make_system_apis(
        node,
        installed,
        _identity_of(home, installed),
        config,
        repositories=GitRepositories(git, node.sources_of),
        answer_timeout=settings.router.answer_timeout,
        otherwise=health(node),
    )


def wire_packages(node: Node, git: GitPackages, rewriting: Rewriting) -> None:
    """Lets the packages from Git and the node know of each other."""
    git.own = lambda source: source in node.desired.local
    git.ran = node.ran_from
    git.packages = node.packages_of
    git.changed = node.desired.package_changed
    git.failed = lambda failure: node.events.emit("", failure.reason, failure.message, warning=True)
    node.desired.note = lambda winner: git.note(winner) or rewriting.note(winner.declared.manifest.id)


def want_packages(git: GitPackages, roots: Collection[Root]) -> None:
    """Of all that packages come from, the repositories."""
    git.want([root for root in roots if isinstance(root, GitPackage)])


async def _watch_packages(node: Node, git: GitPackages, rewriting: Rewriting) -> None:
    watcher = PackageWatcher(node.desired.package_changed)

    def follow(roots: Collection[Root]) -> None:
        watcher.set_roots([root for root in roots if isinstance(root, str)])
        want_packages(git, roots)
        rewriting.keep(node.desired.merged.services)

    node.desired.roots_changed = follow
    await watcher.run()


def _packages_in_use(node: Node) -> Collection[str] | None:
    """None while a service may be wanted that no source was able to mention yet."""
    return node.packages_in_use() if node.desired.merged.complete else None


async def _trim_logs(paths: Paths) -> None:
    sizes = Sizes(paths.log_root)
    while True:
        await anyio.sleep(LOG_CHECK)
        if too_long := sizes.too_long():
            await anyio.to_thread.run_sync(trim_all, too_long)
