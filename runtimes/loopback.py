"""The two addresses of `localhost`: a program that listens on that name has one of them, or both. Pure."""

from __future__ import annotations

from ipaddress import ip_address

LOOPBACK = ("127.0.0.1", "::1")


def addresses(host: str) -> tuple[str, ...]:
    """Where somebody may be found who said to listen at `host`, in the order in which to try."""
    return LOOPBACK if host in LOOPBACK or host == "localhost" else (host,)


def is_loopback(address: str) -> bool:
    """Whether that is this machine itself; IPv4 also as it is seen by a listener of IPv6."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback
