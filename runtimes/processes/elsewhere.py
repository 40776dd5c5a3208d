"""What to tell a person whose program listens elsewhere than where it is looked for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from manifests.model.containers import parse_published
from runtimes.loopback import LOOPBACK, addresses

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from runtimes.base import Running

#: Of what a program listens on, as many are told.
_TOLD = 3
NOWHERE = "a program that listens nowhere needs `probes: {readiness: none}`"


@dataclass(frozen=True, slots=True, order=True)
class Listening:
    """Where a program listens: an address and a port of TCP or UDP, or a Unix socket at `path`."""

    host: str = ""
    port: int = 0
    path: str = ""
    udp: bool = False

    def __str__(self) -> str:
        if self.path:
            return f"the Unix socket {self.path}"
        protocol = "UDP" if self.udp else "TCP"
        return (
            f"{protocol} [{self.host}]:{self.port}"
            if ":" in self.host
            else f"{protocol} {self.host}:{self.port}"
        )


def advise(running: Running, found: Collection[Listening] | None) -> str:
    """`found`: where it listens, None when that cannot be seen. Empty when it is where it should be."""
    if found is None:
        return NOWHERE
    if not found:
        return f"it listens nowhere; {NOWHERE}"
    connected = [each for each in found if not each.udp]
    if any(_is_it(running, each) for each in connected):
        return ""
    # Nobody connects to UDP: next to something else it is beside the point.
    told = sorted(connected or found)[:_TOLD]
    where = f"it listens on {', '.join(map(str, told))}"
    if not connected:
        return f"{where} only, where nobody can connect; {_do_for_datagrams(running, told)}"
    return f"{where}{_and_not(running)}; {_do(running, told)}"


def _is_it(running: Running, one: Listening) -> bool:
    endpoint = running.endpoint
    if endpoint.socket is not None:
        # A container has another name for its folder.
        wanted = endpoint.socket if not running.container else endpoint.socket.rpartition("/")[2]
        return one.path == wanted or (bool(running.container) and one.path.endswith(f"/{wanted}"))
    return one.port == endpoint.port and _reaches(one.host, endpoint.host)


def _reaches(listens: str, asked: str) -> bool:
    return ip_address(listens).is_unspecified or listens in addresses(asked)


def _and_not(running: Running) -> str:
    endpoint, declared = running.endpoint, running.service.manifest.port
    if endpoint.socket is not None:
        return ""
    return f" and not on port {endpoint.port}" + (" ($PORT)" if declared == "auto" else "")


def _do(running: Running, told: Sequence[Listening]) -> str:
    endpoint = running.endpoint
    ports = sorted({each.port for each in told if each.port})
    if not ports:
        return "let it listen on $ATEK_ASSIGNED_SOCKET_FILE"
    if endpoint.port in ports:
        return f"let it listen on {'0.0.0.0' if running.container else endpoint.host}"
    if running.container and all(each.host in LOOPBACK for each in told if each.port):
        return "let it listen on 0.0.0.0: nobody reaches the loopback address of a container"
    return f"write `port: {ports[0]}`" if len(ports) == 1 else "write which of them is its `port:`"


def _do_for_datagrams(running: Running, told: Sequence[Listening]) -> str:
    """The node leads no UDP to a program: it comes to its port by itself, or through a published one."""
    manifest = running.service.manifest
    do = "write `probes: {readiness: none}`"
    if not running.container or manifest.network == "host" or manifest.placement == "swarm":
        return do
    there = {each.container_port for each in map(parse_published, manifest.publish) if each.protocol == "udp"}
    missing = sorted({each.port for each in told} - there)
    listed = ", ".join(f'"{port}:{port}/udp"' for port in missing)
    return f"{do} and `publish: [{listed}]`" if missing else do
