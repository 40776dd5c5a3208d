"""Which of the addresses that a name stands for may be dialled. Pure.

Whoever owns a name may let it stand for any address (DNS rebinding). So it is the address that is judged, and
that same one is dialled. What only this machine and its neighbours can reach is left to those who were
allowed it as such.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING

from runtimes.network.rules import is_loopback_name, literal

if TYPE_CHECKING:
    from runtimes.network.rules import Address, Rule

#: NAT64 (RFC 6052, RFC 8215): the last 32 bits are an IPv4 address that a neighbour dials in our place.
_NAT64 = tuple(ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48"))
#: IPv4-compatible addresses (RFC 4291, 2.5.5.1), which nobody has used for long.
_COMPATIBLE = ip_network("::/96")
#: Neighbours on a link share this much of an IPv6 address (RFC 4291, 2.5.4).
_SUBNET = 64


def is_public(address: Address) -> bool:
    """Whether it is somebody's on the Internet, and nobody's of this house."""
    inner = _inner(address)
    if inner is not None and not is_public(inner):
        return False
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped or any(address in each for each in _NAT64):
            # The address inside was judged.
            return True
        if address in _COMPATIBLE or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inner(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets for it end at."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in each for each in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def objection(address: Address, source: Address | None, rule: Rule) -> str:
    """Why it is not dialled by that rule, in a few words; empty when it may be.

    `source` is the address that this machine would dial it from, None when it would not know how.
    """
    written = literal(rule.host) == address
    if address.is_unspecified or address.is_multicast:
        return "nobody's address"
    if address.is_loopback and not (written or is_loopback_name(rule.host)):
        return "an address of this machine"
    if written or (rule.local and not address.is_link_local):
        return ""
    # Clouds give their secrets to whoever asks at a link-local address.
    near = not is_public(address) or _is_near(address, source)
    return "an address of this machine or its network" if near else ""


def _is_near(address: Address, source: Address | None) -> bool:
    """This machine answers itself from the very address; neighbours in IPv6 have most of theirs in common."""
    if source is None or address.version != source.version:
        return False
    if address == source:
        return True
    bits = address.max_prefixlen - _SUBNET
    return isinstance(address, IPv6Address) and int(address) >> bits == int(source) >> bits
