"""The session of a person who is signed in, in the cookies that a browser sends. Pure.

The cookie's value is known to the browser alone; here, and on disk, is only what it hashes to. This one is
for the node's own host; a service's host has another (`bound_sessions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.decide.bound_sessions import is_nodes
from runtimes.router.decide.table import session_id
from runtimes.router.protocol.cookies import SECURE_SESSION, SESSION, pairs_of

if TYPE_CHECKING:
    from runtimes.router.decide.table import RouteTable

_NAMES = frozenset({SESSION, SECURE_SESSION})


def session_of(table: RouteTable, cookie: bytes) -> str:
    """The id of the session that is known; empty without one.

    A browser may send several: those of the host, of a path of it, and of the domain above, some of which a
    page of another service can set. The one that only this host can set is the one that counts; and where
    they are different people's, somebody else had a hand in it, so it is nobody.
    """
    named = [(name, _id(name, value)) for name, value in pairs_of(cookie)]
    known = [(name, each) for name, each in named if each in table.sessions]
    ids = [each for name, each in known if name == SECURE_SESSION] or [each for _, each in known]
    return ids[0] if len({table.sessions[each].user for each in ids}) == 1 else ""


def has_sessions(table: RouteTable, cookie: bytes) -> bool:
    """Whether any of the cookies proves to the node who somebody is."""
    return any(is_nodes(name) or _id(name, value) in table.sessions for name, value in pairs_of(cookie))


def without_sessions(table: RouteTable, cookie: bytes) -> bytes:
    """The other cookies: a service has no business with what proves who its user is to the node."""
    named = zip(cookie.split(b";"), pairs_of(cookie), strict=True)
    kept = [
        pair.strip(b" \t")
        for pair, (name, value) in named
        if not is_nodes(name) and _id(name, value) not in table.sessions
    ]
    return b"; ".join(filter(None, kept))


def _id(name: bytes, value: bytes) -> str:
    return session_id(value.decode("latin-1")) if name in _NAMES else ""
