"""Which destinations a program in a strict sandbox may reach. Pure.

A rule is a host and a port; what is said over the connection is nobody's business. Names are compared as
DNS compares them: small letters, IDNA's ASCII (RFC 5891), without the dot at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from manifests.model.confined import parse_destination
from runtimes.loopback import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address

LOCALHOST = "localhost"
#: Names that mean something in this house only: RFC 6762, 6761, 8375, and what routers give out.
_LOCAL_ZONES = (
    "local",
    "lan",
    "home",
    "internal",
    "localdomain",
    "home.arpa",
    "intranet",
    "private",
    LOCALHOST,
)
_LONGEST_NAME, _LONGEST_LABEL = 253, 63
#: What most look up a host for.
_USUAL_PORT = 443


@dataclass(frozen=True, slots=True)
class Rule:
    """`host`: a name, `*.` before it for all below it, or an address. `local`: it may be in this house."""

    host: str
    port: int
    local: bool = False

    def matches(self, host: str, port: int) -> bool:
        """`host` as `plain_host` returns it."""
        if port != self.port:
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and literal(host) is None
        return host == self.host

    def __str__(self) -> str:
        return destination(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Rules:
    """All that one program may reach."""

    rules: tuple[Rule, ...] = ()

    def find(self, host: str, port: int) -> Rule | None:
        """What allows it; the one that says more where there are two. `host` as `plain_host` returns it."""
        found = [rule for rule in self.rules if rule.matches(host, port)]
        return max(found, key=lambda rule: (rule.local, len(rule.host)), default=None)

    def knows(self, host: str) -> bool:
        """Whether it may be reached at any port."""
        return any(rule.matches(host, rule.port) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Where somebody wanted to go in vain. `port` is None where he only asked for the address of a host."""

    host: str
    port: int | None
    why: str

    @property
    def asks_for(self) -> str:
        """What would let it through, as it stands in `egress`."""
        return destination(self.host, self.port or _USUAL_PORT)

    def __str__(self) -> str:
        where = self.host if self.port is None else destination(self.host, self.port)
        return f"{where} {self.why}"


def rules_of(destinations: Iterable[str]) -> Rules:
    """What a manifest's `egress` allows.

    Only what is written as such leads to this machine or its neighbours: their address, or a name that
    cannot mean anybody else.
    """
    parsed = [parse_destination(text) for text in destinations]
    hosts = [(plain_host(each.host) or each.host, each.port) for each in parsed]
    return Rules(tuple(dict.fromkeys(Rule(host, port, is_local(host)) for host, port in hosts)))


def is_local(host: str) -> bool:
    """Whether somebody who writes this means a machine in this house, whatever its address."""
    if literal(host) is not None:
        return True
    name = host.removeprefix("*.")
    return "." not in name or any(name == zone or name.endswith(f".{zone}") for zone in _LOCAL_ZONES)


def plain_host(text: str) -> str:
    """A host as rules have it, without brackets; empty for what is none."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    address = literal(host)
    if address is not None:
        return str(address)
    name = host.removesuffix(".").lower()
    wild = "*." if name.startswith("*.") else ""
    try:
        name = name.removeprefix("*.").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""
    fits = 0 < len(name) <= _LONGEST_NAME and all(0 < len(part) <= _LONGEST_LABEL for part in name.split("."))
    return wild + name if fits and all(_in_name(each) for each in name) else ""


def _in_name(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "-_.")


def literal(host: str) -> Address | None:
    """The address that a host is; an IPv4 address in IPv6's clothes is what it is in fact."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def destination(host: str, port: int) -> str:
    """As it is written in a manifest."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_this_machine(host: str) -> bool:
    """Whether a rule's host is this machine in any case."""
    address = literal(host)
    return is_loopback_name(host) or (address is not None and address.is_loopback)


def is_loopback_name(host: str) -> bool:
    """Whether it is this machine's own name for itself, which no resolver is asked about (RFC 6761)."""
    return host == LOCALHOST or host.endswith(f".{LOCALHOST}") or host in LOOPBACK
