"""The ports of a real node, over this machine's files, processes and sockets.

What few homes want (other nodes, people, Git, devices, messages, the network) is imported where it is made.
"""

from __future__ import annotations

import random
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

from reconciler.drive.sources import make_sources
from reconciler.gitops.port import NoGit
from reconciler.lan.keeper import Keeper
from reconciler.node import Ports
from reconciler.parts import VERSION, about_users
from reconciler.peers.standalone import Standalone
from reconciler.people.later import LaterPeople
from reconciler.people.port import FOLDER as PEOPLE_FOLDER
from reconciler.port import NoNotifications
from reconciler.remote.port import NoRemote
from reconciler.state.core_services import (
    bootstrap_of,
)
from reconciler.state.data_owners import DataFolders
from reconciler.state.grants import GrantsFile
from reconciler.state.listening import parse as parse_place
from reconciler.state.store import FileStore
from reconciler.state.tokens import new_token
from reconciler.state.vault import Vault
from runtimes.data.usage import DataUsage
from runtimes.docker.on_demand import DockerOnDemand, SwarmOnDemand
from runtimes.docker.prober import ContainerProber
from runtimes.docker.swarm_prober import SwarmProber
from runtimes.packages.store import in_use
from runtimes.probes import EndpointProber
from runtimes.registry import make_runtimes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.drive.events import EventLog
    from reconciler.gitops.port import Git
    from reconciler.lan.certificates import Certificates
    from reconciler.lan.mdns import Mdns
    from reconciler.parts import Parts
    from reconciler.peers.port import Member
    from reconciler.people.household import Household
    from reconciler.people.port import People
    from reconciler.port import Lan, Notifications
    from reconciler.remote.port import Remote
    from runtimes.router.decide.table import Session


def make_ports(parts: Parts) -> Ports:
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
            *about_users(opened.settings, host),
        ),
    )


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
    from reconciler.people.decide import rights

    return rights(person)


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
