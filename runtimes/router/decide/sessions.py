"""The session of a person who is signed in, in the cookies that a browser sends. Pure.

The cookie's value is known to the browser alone; here, and on disk, is only what it hashes to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.decide.table import session_id
from runtimes.router.protocol.cookies import SECURE_SESSION, SESSION

if TYPE_CHECKING:
    from runtimes.router.decide.table import RouteTable

_NAMES = frozenset({SESSION, SECURE_SESSION})
_SPACE = b" \t"


def session_of(table: RouteTable, cookie: bytes) -> str:
    """The id of the first session that is known; empty without one.

    A browser may send several: those of the host, of a path of it, and of the domain above.
    """
    return session_id(token) if (token := session_token(table, cookie)) else ""


def session_token(table: RouteTable, cookie: bytes) -> str:
    """The value of its cookie."""
    return next((each for each in map(_value, cookie.split(b";")) if session_id(each) in table.sessions), "")


def without_sessions(table: RouteTable, cookie: bytes) -> bytes:
    """The other cookies: a service has no business with what proves who its user is to the node."""
    pairs = (pair.strip(_SPACE) for pair in cookie.split(b";"))
    return b"; ".join(pair for pair in pairs if pair and session_id(_value(pair)) not in table.sessions)


def _value(pair: bytes) -> str:
    name, _, value = pair.partition(b"=")
    if name.strip(_SPACE) not in _NAMES:
        return ""
    # Many libraries take quotation marks off.
    return value.strip(_SPACE).strip(b'"').decode("latin-1")
