"""What a program in a strict sandbox finds in its network: addresses, names, listeners, variables. Pure.

Each host that is named without a wildcard has a loopback address of its own, which `/etc/hosts` says, and at
that a listener for each of its ports; so any program gets there, TLS included, as if it were the host. Hosts
that are written as addresses are listened for at those. A proxy is for wildcards and for what is refused,
a resolver of names for who asks DNS: both say by that what was missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from runtimes.loopback import LOOPBACK
from runtimes.network.rules import LOCALHOST, Rule, is_loopback_name, literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.network.rules import Rules

#: A corner of 127.0.0.0/8 where no program listens by habit: the first is the node's, then come the hosts'.
_FIRST = IPv4Address("127.83.0.1")
PROXY_PORT, NAMES_PORT = 3128, 53
SERVICES = str(_FIRST)
#: The variables of curl, Python, Go and most others; curl reads the small letters of the first only.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

#: What names are looked up by, in /etc/nsswitch.conf: no service of the machine, which is not there.
NAME_SERVICES = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody inside connects to, and by which rule he gets out."""

    address: str
    port: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Inside:
    """`addresses` have to be made; `hosts` are names, by their address."""

    places: tuple[Place, ...]
    addresses: tuple[str, ...]
    hosts: Mapping[str, str]

    def address_of(self, host: str) -> str:
        """Where a host is inside; empty where it has no address of its own."""
        return LOOPBACK[0] if is_loopback_name(host) else self.hosts.get(host, "")

    def name_of(self, address: str) -> str:
        """The other way round."""
        return next((host for host, own in self.hosts.items() if own == address), address)

    @property
    def hosts_file(self) -> str:
        """For /etc/hosts."""
        own = (f"{address} {LOCALHOST}" for address in LOOPBACK)
        return "\n".join([*own, *(f"{address} {host}" for host, address in self.hosts.items()), ""])

    @property
    def resolver_file(self) -> str:
        """For /etc/resolv.conf."""
        return f"nameserver {SERVICES}\noptions timeout:2 attempts:1\n"

    @property
    def files(self) -> Mapping[str, str]:
        """What has to be said of it in files, by their paths."""
        return {
            "/etc/hosts": self.hosts_file,
            "/etc/resolv.conf": self.resolver_file,
            "/etc/nsswitch.conf": NAME_SERVICES,
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """For programs that know proxies. What has an address of its own is not asked for there."""
        proxy = f"http://{SERVICES}:{PROXY_PORT}"
        near = [LOCALHOST, *LOOPBACK, *self.hosts, *self.addresses]
        return dict.fromkeys(_PROXIES, proxy) | dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(near))


def layout(rules: Rules) -> Inside:
    """The network of a program with these rules. The same rules always have the same addresses."""
    named = dict.fromkeys(
        rule.host
        for rule in rules.rules
        if literal(rule.host) is None and not rule.host.startswith("*.") and not is_loopback_name(rule.host)
    )
    hosts = {host: str(_FIRST + number) for number, host in enumerate(named, 1)}
    places: list[Place] = []
    for rule in rules.rules:
        if rule.host.startswith("*."):
            continue
        places += (Place(address, rule.port, rule) for address in _addresses(rule.host, hosts))
    made = dict.fromkeys(
        place.address
        for place in places
        if (address := literal(place.address)) is not None and not address.is_loopback
    )
    distinct = {(place.address, place.port): place for place in places}
    return Inside(tuple(distinct.values()), tuple(made), hosts)


def _addresses(host: str, hosts: Mapping[str, str]) -> tuple[str, ...]:
    if host in hosts:
        return (hosts[host],)
    return LOOPBACK if host == LOCALHOST or host.endswith(f".{LOCALHOST}") else (host,)
