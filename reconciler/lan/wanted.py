"""What is to be listened on, by all that is known: settings, people, addresses, services' ports. Pure.

Loopback is opened at once, everything else once there are people. A port is one service's: the one whose
source has precedence, then the id that sorts first, as with APIs. What cannot be is said to its service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.decide.conditions import Condition
from reconciler.state.listening import Place
from runtimes.loopback import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_EVERY = {"0.0.0.0": 4, "::": 6}
CONDITION = "LanPort"


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A service's wish for one. `rank` is its source's precedence, the lowest first."""

    rank: int
    service: str
    number: int
    own: bool = True


@dataclass(frozen=True, slots=True)
class Situation:
    """`port` is the node's own on loopback; `addresses` are those by which others reach this machine."""

    port: int
    listen: tuple[Place, ...] = ()
    people: bool = False
    tls: bool = False
    addresses: tuple[str, ...] = ()
    ports: frozenset[Port] = frozenset()


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """`service` is empty for the node itself. `network`: others reach it."""

    address: str
    port: int
    service: str = ""
    tls: bool = False
    network: bool = False

    @property
    def place(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`refused` are conditions of services by their ids, `problem` is the node's: both in words."""

    listeners: frozenset[Listener]
    refused: Mapping[str, Condition] = field(default_factory=dict)
    problem: str = ""


def wanted(now: Situation) -> Wanted:
    """Everything that should be open, and why not more."""
    places = [Place(each.host, each.port or now.port) for each in now.listen]
    beyond = [each for each in places if not is_loopback(each.host)]
    listeners = {
        Listener(each.host, each.port)
        for each in places
        if is_loopback(each.host) and (each.host, each.port) not in {(own, now.port) for own in LOOPBACK}
    }
    if now.people:
        listeners |= {
            Listener(address, each.port, tls=now.tls, network=True)
            for each in beyond
            for address in _addresses(each.host, now.addresses)
        }
    refused = {}
    taken = {now.port: "the node", **dict.fromkeys((each.port for each in places), "the node")}
    hosts = dict.fromkeys(each.host for each in beyond)
    for port in sorted(now.ports):
        if not port.own:
            refused[port.service] = _no("NotOwn", f"port {port.number} is for services of this node's own")
            continue
        if (winner := taken.setdefault(port.number, port.service)) != port.service:
            refused[port.service] = _no("PortConflict", f"port {port.number} is {winner}'s")
            continue
        listeners |= {Listener(address, port.number, port.service) for address in LOOPBACK}
        if now.people:
            listeners |= {
                Listener(address, port.number, port.service, tls=now.tls, network=True)
                for host in hosts
                for address in _addresses(host, now.addresses)
            }
        if beyond and not now.people:
            message = f"port {port.number} is this machine's only until there is a person: `atek user add`"
            refused[port.service] = _no("NobodyToSignIn", message)
        elif not beyond:
            message = f"port {port.number} is this machine's only: `listen` in config.toml says where else"
            refused[port.service] = _no("NotListening", message)
    return Wanted(frozenset(listeners), refused, _problem(now, beyond))


def is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def _addresses(host: str, addresses: tuple[str, ...]) -> Iterator[str]:
    """What an entry of `listen` stands for at the moment."""
    version = _EVERY.get(host)
    if version is None:
        yield host
        return
    yield from (each for each in addresses if (6 if ":" in each else 4) == version)


def _problem(now: Situation, beyond: list[Place]) -> str:
    if not beyond or now.people:
        return ""
    where = ", ".join(Listener(each.host, each.port).place for each in beyond)
    return (
        f"it listens on this machine only: {where} is opened once there is a person who can sign in "
        "(`atek user add`)"
    )


def _no(reason: str, message: str) -> Condition:
    return Condition(CONDITION, "False", reason, message)
