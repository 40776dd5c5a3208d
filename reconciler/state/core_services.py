"""The core services that a node runs unless its config file says otherwise: Hypercore, the Atek Database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hyper.core_services import HYPER_ID, adb_service, hyper_service

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.state.settings import Settings

HYPER_SOCKET = "hyper.sock"


def hyper_socket(run: Path) -> str:
    """Where the daemon answers; `run` is the node's run directory."""
    return os.fspath(run / HYPER_SOCKET)


def bootstrap_of(settings: Settings) -> tuple[str, ...]:
    """Nodes of the DHT that this node is part of; none for the public one."""
    meeting_point = settings.remote.meeting_point
    return (*settings.hyper.bootstrap, *((meeting_point,) if meeting_point else ()))


def dht_address(bootstrap: Sequence[str]) -> str:
    """Where to take part in that DHT: beyond this machine only where one of its nodes is."""
    hosts = {address.rpartition(":")[0].strip("[]") for address in bootstrap}
    return "" if hosts and hosts <= {"localhost", "127.0.0.1", "::1"} else "0.0.0.0:0"


def restore_file(home: Path) -> Path:
    """A backup that lies here is put into an empty store by the daemon when it starts."""
    return home / "state" / "restore.json"


def shipped_core_services(settings: Settings, home: Path, run: Path) -> list[dict[str, Any]]:
    """As plain manifests."""
    socket, hyper = hyper_socket(run), settings.hyper
    daemon = hyper_service(
        store=os.fspath(home / "hyper"),
        socket=socket,
        bootstrap=hyper.bootstrap,
        listen=hyper.listen,
        dht=hyper.dht or (dht_address(bootstrap_of(settings)) if settings.remote.enabled else ""),
        peers=[peer.model_dump() for peer in hyper.peers],
        known_peers_only=hyper.known_peers_only,
        restore=os.fspath(restore_file(home)),
        meeting_point=settings.remote.meeting_point if settings.remote.enabled else "",
        public=settings.remote.enabled and settings.remote.public,
    )
    return [daemon, adb_service(socket=socket)]


def core_services(settings: Settings, shipped: Sequence[Any]) -> Sequence[Any]:
    """Those that the config file declares, else the shipped ones."""
    return shipped if settings.core_services is None else settings.core_services


def daemon_socket(services: Sequence[Any], run: Path) -> str | None:
    """Where the Hypercore daemon among these services answers; None where it is not among them."""
    daemon = next((each for each in services if isinstance(each, dict) and each.get("id") == HYPER_ID), None)
    if daemon is None:
        return None
    env = daemon.get("env", daemon.get("config"))
    named = env.get("HYPER_SOCKET") if isinstance(env, dict) else None
    return named if isinstance(named, str) else hyper_socket(run)
