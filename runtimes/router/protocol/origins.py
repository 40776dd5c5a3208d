"""Whose page asks: what browsers say of it in a request's fields, which pages cannot set. Pure.

Fetch Metadata comes first (Sec-Fetch-Site, https://www.w3.org/TR/fetch-metadata/): `none` is the person's own
doing, `same-origin` the host's own page; `same-site` may be a page of another service of this node. Browsers
send it to hosts that they trust by scheme or name, so where it is missing the Origin is held against the host
that was asked (RFC 6454, section 6.2); `null`, which hides whose page it is, is nobody's own. Whoever sends
neither is no browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.router.protocol.fields import Values

_OWN_SITES = frozenset({b"same-origin", b"none"})
_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}
#: How a browser asks whether a page of a wider network may reach this one: it is Private or Local.
_NARROWER = (b"access-control-request-private-network", b"access-control-request-local-network")


def is_foreign(values: Values, authority: bytes) -> bool:
    """Whether a page of another origin asks. `authority` is the host that is asked, with its port."""
    sites = values.get(b"sec-fetch-site")
    if sites:
        return not _OWN_SITES.issuperset(sites)
    return any(not is_own(origin, authority) for origin in values.get(b"origin", ()))


def is_own(origin: bytes, authority: bytes) -> bool:
    """Whether an origin is the host that is asked, by either scheme: a proxy may have taken https off."""
    scheme, mark, rest = origin.lower().partition(b"://")
    own, port = _host_and_port(authority.lower())
    host, its_port = _host_and_port(rest)
    default = _DEFAULT_PORTS.get(scheme)
    if not mark or default is None or not host:
        return False
    return host == own and (its_port or default) == (port or default)


def is_preflight(method: bytes, values: Values) -> bool:
    """Whether a browser asks if a page may ask (CORS: https://fetch.spec.whatwg.org/#cors-preflight-request)."""
    return method == b"OPTIONS" and b"access-control-request-method" in values


def asks_for_narrower_network(method: bytes, values: Values) -> bool:
    """Whether that page is of a network from which this one should not be reached."""
    return method == b"OPTIONS" and any(name in values for name in _NARROWER)


def _host_and_port(authority: bytes) -> tuple[bytes, bytes]:
    """The port is empty where none is said. What stands in brackets has colons of its own."""
    host, colon, port = authority.rpartition(b":")
    if not colon or not (port.isdigit() or not port):
        host, port = authority, b""
    return host.removesuffix(b"."), port
