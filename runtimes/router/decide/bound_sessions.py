"""A person's session at a service's host: a cookie of its own, good there and nowhere else. Pure.

    atek-SERVICE = HANDLE MAC     SERVICE  of the service's key, so that no two hosts' cookies are one
                                  HANDLE   the first half of the session's id, by which it is found
                                  MAC      HMAC-SHA256 of the session's id and the service's key

So nothing has to be kept of it, and it ends with the session. Whoever gets to see one (it should be nobody:
services are not sent it, and scripts cannot read it) has nothing for another host, nor for the node's own.
The browser that was sent to sign in is known again by another, `atek-way-SERVICE`, see `binding`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from runtimes.router.decide.table import HANDLE
from runtimes.router.protocol.cookies import pairs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.router.decide.table import RouteTable, ServiceRoute

#: Browsers take a cookie of such a name from the host itself alone, with TLS (RFC 6265bis, section 4.1.3.2);
#: some also from *.localhost, which nobody else can answer for.
_HOST_ONLY = b"__Host-"
_TAG, _MAC = 16, 64
_NODES = re.compile(rb"(?:__Host-)?atek-(?:way-)?[0-9a-f]{%d}" % _TAG)


def cookie_name(service: ServiceRoute, *, secure: bool, way: bool = False) -> bytes:
    """Of the cookie at this service's host; `secure`: only where the browser trusts the connection."""
    tag = hashlib.sha256(service.key.encode()).hexdigest()[:_TAG].encode()
    return b"%batek-%b%b" % (_HOST_ONLY if secure else b"", b"way-" if way else b"", tag)


def is_nodes(name: bytes) -> bool:
    """Whether a cookie of this name is the node's own, at a service's host."""
    return _NODES.fullmatch(name) is not None


def bound_value(table: RouteTable, session: str, service: ServiceRoute) -> str:
    """What stands in the cookie for a session, by its id."""
    return session[:HANDLE] + _mac(table.cookie_key, session, service)


def handled(table: RouteTable, cookie: bytes) -> str:
    """The id of a session that a cookie names, right or not; empty without one."""
    named = (value[:HANDLE].decode("latin-1") for name, value in pairs_of(cookie) if is_nodes(name))
    return next((session for each in named if (session := table.handles.get(each))), "")


def session_at(table: RouteTable, service: ServiceRoute, cookie: bytes) -> str:
    """The id of the session that a browser has at this service's host; empty without one."""
    found: Mapping[bytes, bytes] = dict(reversed(list(pairs_of(cookie))))
    for secure in (True, False):
        value = found.get(cookie_name(service, secure=secure), b"").decode("latin-1")
        if len(value) == HANDLE + _MAC and (session := table.handles.get(value[:HANDLE])):
            given, right = value[HANDLE:].encode(), _mac(table.cookie_key, session, service).encode()
            if table.cookie_key and _is_right(given, right):
                return session
    return ""


def ways_of(service: ServiceRoute, cookie: bytes) -> dict[str, bool]:
    """The words by which this service's host knows a browser again; whether it keeps secure ones there."""
    found: dict[str, bool] = {}
    # The secure one last: it counts where a browser has been given both, and kept both.
    for secure in (False, True):
        wanted = cookie_name(service, secure=secure, way=True)
        found |= {value.decode("latin-1"): secure for name, value in pairs_of(cookie) if name == wanted}
    return found


_is_right = hmac.compare_digest


def _mac(key: bytes, session: str, service: ServiceRoute) -> str:
    return hmac.new(key, b"%b %b" % (session.encode(), service.key.encode()), hashlib.sha256).hexdigest()
