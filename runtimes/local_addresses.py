"""The addresses of this machine, as the kernel lists them for its own network namespace (proc(5))."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Address = IPv4Address | IPv6Address

# Of the routing table: where a branch begins, and that what is below there is delivered here.
_LEAF = re.compile(r"\s*\|-- ([0-9.]+)$")
_LOCAL = re.compile(r"\s*/([0-9]+) host LOCAL$")
# What Docker calls the bridges of its networks.
_OF_CONTAINERS = re.compile(r"docker[0-9]+|docker_gwbridge|br-[0-9a-f]{12}")
#: Of an IPv6 address: not to be used yet, or found to be somebody else's, too (if_addr.h).
_UNUSABLE = 0x40 | 0x08


@dataclass(frozen=True, slots=True)
class LocalAddresses:
    """`ipv4` are networks: all of 127.0.0.0/8 is local. `within`: networks of containers on this machine."""

    ipv4: frozenset[IPv4Network]
    ipv6: frozenset[IPv6Address]
    within: frozenset[IPv4Network] = frozenset()

    def __contains__(self, text: str) -> bool:
        """Whether an address, as `getpeername` says it, is this machine's."""
        found = ip_address(text.partition("%")[0])
        if isinstance(found, IPv6Address):
            if found.ipv4_mapped is None:
                return found in self.ipv6
            found = found.ipv4_mapped
        return any(found in each for each in self.ipv4)

    @property
    def reachable(self) -> list[str]:
        """Those by which other machines reach this one, in order: neither loopback nor a single link's."""
        single = [each.network_address for each in self.ipv4 if each.prefixlen == 32]
        hosts: list[Address] = [each for each in single if not any(each in net for net in self.within)]
        hosts += self.ipv6
        good = [each for each in hosts if not (each.is_loopback or each.is_link_local or each.is_multicast)]
        return [str(each) for each in sorted(good, key=lambda each: (each.version, int(each)))]


def local_addresses() -> LocalAddresses:
    """Those of this moment."""
    return LocalAddresses(
        _ipv4(_read("/proc/net/fib_trie")),
        _ipv6(_read("/proc/net/if_inet6")),
        _within(_read("/proc/net/route")),
    )


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        # The kernel has no such addresses at all.
        return ""


def _ipv4(trie: str) -> frozenset[IPv4Network]:
    found, leaf = set(), ""
    for line in trie.splitlines():
        if (match := _LEAF.match(line)) is not None:
            leaf = match[1]
        elif (match := _LOCAL.match(line)) is not None:
            found.add(IPv4Network(f"{leaf}/{match[1]}", strict=False))
    return frozenset(found)


def _ipv6(table: str) -> frozenset[IPv6Address]:
    lines = (line.split() for line in table.splitlines())
    return frozenset(
        IPv6Address(bytes.fromhex(fields[0])) for fields in lines if not int(fields[4], 16) & _UNUSABLE
    )


def _within(routes: str) -> frozenset[IPv4Network]:
    """Its numbers are in the machine's byte order."""
    found = set()
    for fields in (line.split() for line in routes.splitlines()[1:]):
        if _OF_CONTAINERS.fullmatch(fields[0]):
            network, mask = (int(fields[each], 16).to_bytes(4, sys.byteorder) for each in (1, 7))
            found.add(IPv4Network((network, str(IPv4Address(mask))), strict=False))
    return frozenset(found)
