"""What a real node holds of this machine: its files, host and router, in the order in which they are made.

`Opened` is what has to be closed again; `Parts` is what several ports share (`wiring`).
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.apis.rename import open_installed
from reconciler.drive.controllers import Controllers
from reconciler.drive.events import EventLog
from reconciler.drive.packages import open_packages
from reconciler.drive.sources import source_folders
from reconciler.peers.own import OwnFile
from reconciler.peers.port import RECORDS
from reconciler.serve.listeners import make_router
from reconciler.state.compose_ids import is_settled, settle
from reconciler.state.core_services import (
    core_services,
    daemon_socket,
    shipped_core_services,
)
from reconciler.state.tokens import READ_ONLY, ensure_tokens
from reconciler.state.vault import Vault
from runtimes.paths import PRIVATE, Paths, Way
from runtimes.processes.process import ProcessHost
from runtimes.users.service_users import ServiceUsers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hyper.client import HyperClient
    from manifests.compose.ids import KeptIds
    from manifests.model.manifest import Manifest
    from reconciler.drive.packages import Packages
    from reconciler.serve.listeners import Sockets
    from reconciler.state.home import Home
    from reconciler.state.installed import InstalledServices
    from reconciler.state.settings import Settings
    from runtimes.router.remote import RouterProcess
    from runtimes.users.ranges import UserRange

VERSION = "0.3.0"


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


def make_host(home: Home, settings: Settings, run: Path, sockets: Sockets) -> ProcessHost:
    users = _users(settings)
    paths = Paths(home.path, run, sockets.port, way_of(settings), users.containers if users else None)
    return ProcessHost(
        paths, Vault(home.path).open, settings.limits.resources, ServiceUsers(paths, users), settings.sandbox
    )


def _users(settings: Settings) -> UserRange | None:
    """Only root can run programs as somebody else."""
    return settings.user_range if os.geteuid() == 0 else None


def way_of(settings: Settings) -> Way:
    """Who may pass through the node's folders to what is theirs."""
    users = _users(settings)
    return Way(users.passing) if users else PRIVATE


def about_users(settings: Settings, host: ProcessHost) -> Sequence[str]:
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


async def make_parts(opened: Opened, tokens: Sequence[str]) -> Parts:
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


def _make_client(socket: str | None) -> HyperClient | None:
    if socket is None:
        return None
    # Not at the top, like the membership: a node without a daemon starts its programs 50 ms sooner.
    from hyper.client import HyperClient

    return HyperClient(socket)


def _router_died(events: EventLog, message: str) -> None:
    events.emit("", "RouterEnded", message, warning=True)
