"""A real node: the ports that `Node` is made of, over this machine's files, processes and sockets.

open ─► Parts (what the ports share, in order) ─► Ports ─► Node ─► live, until it is asked to end ─► close
"""

from __future__ import annotations

import gc
import os
import random
import secrets
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.apis.inspect import public_config
from reconciler.apis.leaving import Leaving
from reconciler.apis.rename import open_installed
from reconciler.apis.rename_recorded import finish_recorded
from reconciler.drive.controllers import Controllers
from reconciler.drive.events import EventLog
from reconciler.drive.keep_going import keep_going
from reconciler.drive.packages import open_packages
from reconciler.drive.sources import make_sources, source_folders
from reconciler.drive.status import timestamp
from reconciler.errors import UserError
from reconciler.gitops.port import NoGit
from reconciler.lan.keeper import Keeper
from reconciler.node import Node, Ports
from reconciler.peers.own import OwnFile
from reconciler.peers.port import RECORDS
from reconciler.peers.standalone import Standalone
from reconciler.people.later import LaterPeople
from reconciler.people.port import FOLDER as PEOPLE_FOLDER
from reconciler.port import NoNotifications
from reconciler.remote.port import NoRemote
from reconciler.serve.listeners import make_router, open_sockets, serve
from reconciler.state.age_key import FILE as AGE_KEY
from reconciler.state.age_key import ensure_identity
from reconciler.state.compose_ids import is_settled, settle
from reconciler.state.core_services import (
    bootstrap_of,
    core_services,
    daemon_socket,
    shipped_core_services,
)
from reconciler.state.data_owners import DataFolders
from reconciler.state.grants import GrantsFile
from reconciler.state.home import Home
from reconciler.state.listening import parse as parse_place
from reconciler.state.settings import load_settings
from reconciler.state.store import FileStore
from reconciler.state.tokens import READ_ONLY, ensure_tokens, new_token
from reconciler.state.vault import Vault
from runtimes.base import RuntimeFailure
from runtimes.data.usage import DataUsage
from runtimes.docker.on_demand import DockerOnDemand, SwarmOnDemand
from runtimes.docker.prober import ContainerProber
from runtimes.docker.swarm_prober import SwarmProber
from runtimes.network.refusals import Refusals
from runtimes.packages.store import in_use
from runtimes.paths import PRIVATE, Paths, Way, make_run_directory
from runtimes.probes import EndpointProber
from runtimes.processes.log_rate import keep_bounded
from runtimes.processes.process import ProcessHost
from runtimes.registry import make_runtimes
from runtimes.router.decide.table import Session
from runtimes.users.service_users import ServiceUsers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hyper.client import HyperClient
    from manifests.compose.ids import KeptIds
    from manifests.model.manifest import Manifest
    from reconciler.drive.packages import Packages
    from reconciler.gitops.port import Git
    from reconciler.http.messages import Handler
    from reconciler.lan.certificates import Certificates
    from reconciler.lan.mdns import Mdns
    from reconciler.peers.port import Member
    from reconciler.people.household import Household
    from reconciler.people.port import People
    from reconciler.port import Console, Lan, Notifications
    from reconciler.remote.port import Remote
    from reconciler.serve.listeners import Sockets
    from reconciler.state.installed import InstalledServices
    from reconciler.state.settings import Settings
    from runtimes.network.rules import Refusal
    from runtimes.router.remote import RouterProcess
    from runtimes.users.ranges import UserRange

VERSION = "0.3.0"
#: Seconds after the sources were read until everything else begins that is not needed to start programs.
AFTER_BOOT = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a node holds of this machine until it ends. `about` says it to others; `paths` has its sources."""

    home: Home
    settings: Settings
    about: Mapping[str, Any]
    paths: Sequence[Path]
    sockets: Sockets
    host: ProcessHost


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What several ports share, and what only a real node has, in the order in which it is made."""

    opened: Opened
    controllers: Controllers
    events: EventLog
    installed: InstalledServices
    shipped: Sequence[Mapping[str, Any]]
    core_services: Sequence[Any]
    client: HyperClient | None
    packages: Packages
    router: RouterProcess
    ids: KeptIds
    tunnel_secret: str

    def identity(self, service_id: str) -> Mapping[str, str]:
        """A service's key and owner: what follows from its id, unless it was installed with its own."""
        return self.installed.identity(service_id, self.opened.home.identity(service_id))


async def run_node(
    home_path: Path, paths: Sequence[Path], flags: Mapping[str, Any], *, console: Console
) -> int:
    """Runs a node in this home until it is asked to end; returns its exit status. Raises UserError."""
    # Marks in environments and links in /proc are compared as text: one home, one spelling.
    Home(home_path).check(())
    home = Home(home_path.resolve())
    home.check(())
    settings = load_settings(home.path, dict(flags))
    paths = [*(home.path / file for file in settings.sources.files), *paths]
    home.check(paths)
    about = _about(home, settings, paths)
    home.open(about, _way(settings))
    try:
        await _run_in(home, settings, about, paths, console)
    except RuntimeFailure as failure:
        raise UserError(failure.message, hint=failure.hint) from failure
    finally:
        home.close()
    return 0


def _about(home: Home, settings: Settings, paths: Sequence[Path]) -> dict[str, Any]:
    return {
        "name": settings.name,
        "labels": list(settings.labels),
        "version": VERSION,
        "pid": os.getpid(),
        "home": str(home.path),
        "paths": [str(path) for path in paths],
        "startedAt": timestamp(time.time()),
    }


async def _run_in(
    home: Home, settings: Settings, about: Mapping[str, Any], paths: Sequence[Path], console: Console
) -> None:
    tokens = ensure_tokens(home.path)
    if not (home.path / AGE_KEY).exists():
        ensure_identity(home.path)
    run = make_run_directory(home.path, _way(settings))
    with (
        closing(open_sockets(run, settings.port, remote=settings.remote.enabled)) as sockets,
        closing(_make_host(home, settings, run, sockets)) as host,
    ):
        about = {**about, "address": f"http://{settings.domain}:{sockets.port}"}
        home.write_about(about)
        opened = Opened(home=home, settings=settings, about=about, paths=paths, sockets=sockets, host=host)
        parts = await _make_parts(opened, tokens)
        node = Node(_make_ports(parts))
        _connect_sandboxes(parts, node)
        node.people.leaving = Leaving(node, node.people, parts.installed).settle
        await _live(parts, node, console)


def _connect_sandboxes(parts: Parts, node: Node) -> None:
    """Strict sandboxes have the gateway from the router, and what they are kept from is told."""
    networks = parts.opened.host.networks
    networks.gateway = parts.router
    told = partial(_egress_refused, parts.events)
    networks.refused = Refusals(told, node.metrics.refused_egress, time.monotonic).add


def _egress_refused(events: EventLog, service_id: str, refusal: Refusal) -> None:
    events.emit(service_id, "EgressRefused", str(refusal), warning=True)


def _make_host(home: Home, settings: Settings, run: Path, sockets: Sockets) -> ProcessHost:
    users = _users(settings)
    paths = Paths(home.path, run, sockets.port, _way(settings), users.containers if users else None)
    return ProcessHost(
        paths, Vault(home.path).open, settings.limits.resources, ServiceUsers(paths, users), settings.sandbox
    )


def _users(settings: Settings) -> UserRange | None:
    """Only root can run programs as somebody else."""
    return settings.user_range if os.geteuid() == 0 else None


def _way(settings: Settings) -> Way:
    """Who may pass through the node's folders to what is theirs."""
    users = _users(settings)
    return Way(users.passing) if users else PRIVATE


def _about_users(settings: Settings, host: ProcessHost) -> Sequence[str]:
    """What a person should know of who runs programs."""
    if os.geteuid() != 0:
        return (
            ("users: only a node that runs as root can give services users of their own",)
            if settings.users
            else ()
        )
    if settings.users is None:
        return (
            'programs run as root, with all of its rights: users = "700000-765535" in the config file gives '
            "each service a user of its own",
        )
    return host.users.problems


async def _make_parts(opened: Opened, tokens: Sequence[str]) -> Parts:
    home, settings = opened.home, opened.settings
    controllers, events = Controllers(), EventLog()
    run = opened.host.paths.run
    # What an earlier life began to rename is renamed before the manifests are read.
    installed = await open_installed(home.path)
    shipped = shipped_core_services(settings, home.path, run)
    core = core_services(settings, shipped)
    tunnel_secret = secrets.token_hex(32)
    return Parts(
        opened=opened,
        controllers=controllers,
        events=events,
        installed=installed,
        shipped=shipped,
        ids=await _settle_ids(opened),
        core_services=core,
        client=_make_client(daemon_socket(core, run)),
        packages=open_packages(home.path, controllers, events),
        router=make_router(
            opened.sockets,
            settings,
            home.path,
            tokens,
            readers=ensure_tokens(home.path, READ_ONLY),
            died=partial(_router_died, events),
            tunnel_secret=tunnel_secret,
        ),
        tunnel_secret=tunnel_secret,
    )


async def _settle_ids(opened: Opened) -> KeptIds:
    """Before any manifest is read."""
    home = opened.home.path
    recorded = [] if is_settled(home) else await _recorded(home, opened.settings)
    folders = source_folders(home, opened.paths)
    return await anyio.to_thread.run_sync(settle, home, folders, recorded)


async def _recorded(home: Path, settings: Settings) -> list[Manifest]:
    """What this node's own records declared in an earlier life."""
    if not OwnFile(home).value.records:
        return []
    from reconciler.peers.offline import kept_sources

    sources = [each for each in kept_sources(home, settings.place) if each.name == RECORDS]
    for source in sources:
        await source.scan()
    return [each.manifest for source in sources for each in source.snapshot.services]


def _make_ports(parts: Parts) -> Ports:
    """Every port of a real node. What it should have besides goes here, and nowhere else."""
    opened, home, host = parts.opened, parts.opened.home.path, parts.opened.host
    data, grants = DataFolders(home), GrantsFile(home)
    people, about_people = _make_people(parts)
    docker, swarm = (
        DockerOnDemand(host.paths, opened.settings.docker.binds, Vault(home).open),
        SwarmOnDemand(host.paths),
    )
    parts.packages.images.images = docker
    return Ports(
        about=opened.about,
        controllers=parts.controllers,
        events=parts.events,
        sources=make_sources(home, opened.paths, home / "state" / "snapshots", parts.shipped, parts.ids),
        packages=parts.packages,
        updates=parts.packages.updates,
        data=data,
        grants=grants,
        unenforceable=host.limiter.enforcement.lacking,
        runtimes=make_runtimes(host, docker, swarm),
        engines=(docker, swarm),
        prober=SwarmProber(swarm, ContainerProber(docker, EndpointProber(host))),
        router=parts.router,
        git=_make_git(parts),
        member=_make_member(parts),
        store=FileStore(home / "state" / "services"),
        secrets=Vault(home),
        disk=DataUsage(host.paths),
        limits=opened.settings.limits.resources,
        restarts_per_minute=opened.settings.limits.restarts_per_minute,
        people=people,
        notifications=_make_notifications(parts),
        lan=_make_lan(parts),
        remote=_make_remote(parts, people),
        also_in_use=partial(in_use, host.paths),
        identity=parts.identity,
        new_id=lambda: secrets.token_hex(5),
        new_token=lambda _: new_token(),
        jitter=random.random,
        keep_services=opened.settings.keep_services,
        notices=(
            *parts.installed.problems,
            *data.problems,
            *grants.problems,
            *about_people,
            *opened.sockets.lacking,
            *_about_users(opened.settings, host),
        ),
    )


def _make_client(socket: str | None) -> HyperClient | None:
    if socket is None:
        return None
    # Not at the top, like the membership: a node without a daemon starts its programs 50 ms sooner.
    from hyper.client import HyperClient

    return HyperClient(socket)


def _make_member(parts: Parts) -> Member:
    if parts.client is None:
        return Standalone()
    from reconciler.peers.membership import Membership

    settings = parts.opened.settings
    return Membership(
        parts.client,
        parts.opened.home.path,
        settings.place,
        version=VERSION,
        key_of=lambda service_id: parts.identity(service_id)["key"],
        wall=time.time,
        known_peers=[peer.key for peer in settings.hyper.peers],
        open_to_all=not settings.hyper.known_peers_only,
    )


def _make_people(parts: Parts) -> tuple[People, Sequence[str]]:
    """Who lives here, and what cannot be read of them."""
    home, wanted = parts.opened.home.path, parts.opened.settings.people

    def household() -> tuple[Household, Sequence[str]]:
        from reconciler.people.household import Household
        from reconciler.people.store import PeopleFiles

        files = PeopleFiles(home)
        return Household(files, parts.router, wanted=wanted), files.problems

    if (home / PEOPLE_FOLDER).exists():
        return household()
    return LaterPeople(lambda: household()[0], wanted=wanted), ()


def _make_git(parts: Parts) -> Git:
    settings = parts.opened.settings
    if not settings.sources.git:
        return NoGit()
    from reconciler.gitops.sources import GitSources

    return GitSources(
        parts.opened.home.path, settings.sources.git, settings.place, parts.events,
        jitter=random.random,
    )  # fmt: skip


def _make_remote(parts: Parts, people: People) -> Remote:
    sockets, settings = parts.opened.sockets, parts.opened.settings
    if parts.client is None or sockets.tunnel is None or sockets.meeting is None:
        return NoRemote()
    from hyper.tunnels import DaemonTunnels
    from reconciler.remote.devices import DevicesFile
    from reconciler.remote.home import RemoteHome

    devices = DevicesFile(parts.opened.home.path)
    for problem in devices.problems:
        parts.events.emit("", "DevicesDamaged", problem, warning=True)
    return RemoteHome(
        settings.name,
        DaemonTunnels(parts.client),
        parts.router,
        devices,
        arrivals=sockets.tunnel.getsockname(),
        meetings=sockets.meeting.getsockname(),
        secret=parts.tunnel_secret,
        bootstrap=bootstrap_of(settings),
        events=parts.events,
        session_of=partial(_session_of, people),
        random_bytes=secrets.token_bytes,
        wall=time.time,
    )


def _session_of(people: People, key: str) -> Session | None:
    """What the devices of somebody may, as long as that one lives here."""
    person = people.everybody.people.get(key)
    if person is None:
        return None
    main = person.settings.get("mainServiceId", "")
    return Session(person.key, person.username, person.role, main if isinstance(main, str) else "")


def _make_notifications(parts: Parts) -> Notifications:
    home, settings = parts.opened.home.path, parts.opened.settings
    if not settings.notify:
        return NoNotifications()
    from reconciler.notify.notifier import Notifier, disk_of
    from reconciler.notify.sending import Sender
    from reconciler.notify.store import OutboxFile

    failed = partial(_notify_failed, parts.events)
    disk = partial(disk_of, home)
    return Notifier(settings.name, settings.notify, OutboxFile(home), Sender().send, disk, failed)


def _make_lan(parts: Parts) -> Lan:
    """Services may come to have ports of their own at any time; all else is loaded where it is wanted."""
    home, settings, port = parts.opened.home.path, parts.opened.settings, parts.opened.sockets.port
    certificates: Certificates | None = None
    names: Mdns | None = None
    if settings.listen and settings.tls.wanted:
        from reconciler.lan.certificates import Certificates

        certificates = Certificates(home, settings.tls, node=settings.name, domain=settings.domain)
    if settings.listen and settings.mdns:
        from reconciler.lan.mdns import Mdns

        names = Mdns(settings.name)
    return Keeper(
        parts.router, name=settings.name, domain=settings.domain, port=port,
        listen=[parse_place(each) for each in settings.listen], certificates=certificates, names=names,
    )  # fmt: skip


def _notify_failed(events: EventLog, message: str) -> None:
    events.emit("", "NotifyFailed", message, warning=True)


def _router_died(events: EventLog, message: str) -> None:
    events.emit("", "RouterEnded", message, warning=True)


# Its life


async def _live(parts: Parts, node: Node, console: Console) -> None:
    """Everything that goes on next to each other while the node runs."""
    async with anyio.create_task_group() as tasks:
        if parts.client is not None:
            tasks.start_soon(parts.client.run)
        tasks.start_soon(_open, parts, node)
        tasks.start_soon(console, node)
        for run in (
            parts.opened.host.run,
            partial(
                keep_bounded, parts.opened.host.paths.log_root, node.limits.log_rate, node.limits.log_dropped
            ),
            partial(node.limits.run, node.reconciler.instances),
            partial(finish_recorded, node, parts.installed),
            Leaving(node, node.people, parts.installed).settle_all,
        ):
            tasks.start_soon(keep_going, run, node.failed)
        await node.run()
        tasks.cancel_scope.cancel()


async def _open(parts: Parts, node: Node) -> None:
    """Opens the listeners. Whoever connects while the first programs start waits in the backlog."""
    await anyio.sleep(AFTER_BOOT)
    # What was made until now stays; the collector need not look at it again and again.
    gc.freeze()
    gc.enable()
    await serve(node, parts.opened.sockets, parts.router, partial(_make_inner, parts, node))


def _make_inner(parts: Parts, node: Node) -> Handler:
    """What answers to requests that the router forwards to the node: system APIs and pages."""
    from reconciler.apis.assemble import make_system_apis
    from reconciler.apis.repositories import GitRepositories
    from reconciler.serve.health import health
    from reconciler.serve.hooks import hooks
    from reconciler.serve.pages.pages import pages

    settings, port = parts.opened.settings, parts.opened.sockets.port
    return make_system_apis(
        node,
        parts.installed,
        parts.identity,
        public_config(settings, parts.core_services, port=port, version=VERSION),
        repositories=GitRepositories(parts.packages.git, node.is_own, parts.packages.rename),
        answer_timeout=settings.router.answer_timeout,
        main_service=settings.default_main_service,
        otherwise=pages(
            node.people, lambda: node.routing.published, otherwise=hooks(node, otherwise=health(node))
        ),
    )
