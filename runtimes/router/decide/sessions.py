"""The session of a user who is logged in, in the cookies that a browser sends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.router.decide.table import RouteTable

SESSION_COOKIE = b"session"
_SPACE = b" \t"


def session_token(table: RouteTable, cookie: bytes) -> str:
    """The first session that is known; empty without one.

    A browser may send several: those of the host, of a path of it, and of the domain above.
    """
    return next((token for token in map(_session, cookie.split(b";")) if token in table.sessions), "")


def without_sessions(table: RouteTable, cookie: bytes) -> bytes:
    """The other cookies: a service has no business with what proves who its user is to the node."""
    pairs = (pair.strip(_SPACE) for pair in cookie.split(b";"))
    return b"; ".join(pair for pair in pairs if pair and _session(pair) not in table.sessions)


def _session(pair: bytes) -> str:
    name, _, value = pair.partition(b"=")
    if name.strip(_SPACE) != SESSION_COOKIE:
        return ""
    # Many libraries take quotation marks off.
    return value.strip(_SPACE).strip(b'"').decode("latin-1")
