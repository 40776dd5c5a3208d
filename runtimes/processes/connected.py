"""The network of an instance in a strict sandbox: made while its program waits, and again at an adoption."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from runtimes.network.inside import layout
from runtimes.network.rules import rules_of
from runtimes.processes.confined import read_status
from runtimes.processes.proc import read_stat
from runtimes.processes.variables import GATEWAY_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Running
    from runtimes.network.inside import Inside
    from runtimes.network.networks import Networks
    from runtimes.paths import Paths


def network_of(service: Service) -> Inside:
    """What a program in a strict sandbox finds in its network."""
    return layout(rules_of(service.manifest.destinations))


def variables_of(inside: Inside | None, gateway: Path) -> dict[str, str]:
    """What tells it of that. `gateway`: the socket that only this instance has."""
    return {} if inside is None else {**inside.environment, GATEWAY_VARIABLE: os.fspath(gateway)}


async def connect(networks: Networks, paths: Paths, running: Running, first: int) -> None:
    """Makes the network of a strict sandbox whose first process that is. Raises OSError."""
    await networks.open(
        running.instance, running.service.id, first, running.token,
        running.service.manifest.destinations, paths.gateway(running.instance), running.endpoint.port,
    )  # fmt: skip


async def connect_again(networks: Networks, paths: Paths, running: Running) -> None:
    """The same after an adoption: what an earlier life of the node made has ended with it."""
    first = read_status(paths.exit_status(running.instance)).first
    stat = read_stat(first) if first is not None else None
    # A number may be somebody else's by now; a child of the sandbox's own process is none but the first.
    if first is not None and stat is not None and stat.parent == running.pid:
        with suppress(OSError):
            await connect(networks, paths, running, first)
