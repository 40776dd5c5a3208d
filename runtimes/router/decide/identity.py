"""Who sends a request: a token, a user's session, or nobody that is known. Pure.

What a callee is told (Atek-Auth-User, Atek-Auth-Service) comes from here and nowhere else; whatever a client
sends under those names was left out when its head was read.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING

from runtimes.router.decide.table import SYSTEM, Caller

if TYPE_CHECKING:
    from runtimes.router.decide.table import RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import RequestHead

SESSION_COOKIE = b"session"
#: What instances' tokens begin with, of this node and of all others; 64 hex digits follow.
INSTANCE_PREFIX = "atek_"
_INSTANCES = re.compile(rb"%b[0-9a-f]{64}" % INSTANCE_PREFIX.encode(), re.IGNORECASE)
# Sessions, and tokens that an older node gave, without what stands around them.
_WORD = re.compile(rb"[\x21\x23-\x2b\x2d-\x39\x3c\x3e-\x7e]+")
_SPACE = b" \t"
USER_SESSIONS_API = "atek.cloud/user-sessions-api"
#: What somebody without a session needs to get one.
OPEN_METHODS = frozenset({"login", "whoami"})


def caller_of(table: RouteTable, head: RequestHead, service: ServiceRoute | None) -> Caller | None:
    """The caller, None when it is not known. `service` is the one that is called, if any.

    A cookie counts only for pages of the host that it was sent to: the pages of one service are no part of
    another, although a browser takes all of them for one site.
    """
    if head.token:
        return table.callers.get(head.token)
    if not table.sessions or not head.cookie:
        return None
    session = table.sessions.get(session_token(table, head.cookie))
    if session is None or not _same_origin(head):
        return None
    return Caller(session.user, service.key if service else SYSTEM, admin=session.admin)


def _same_origin(head: RequestHead) -> bool:
    if head.elsewhere:
        return False
    return not head.origin or head.origin.partition(b"://")[2].lower() == head.authority.lower()


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


def may_visit(caller: Caller, service: ServiceRoute) -> bool:
    """Whether a caller may see a service's host: its owner, an admin, or anybody if it is for all."""
    return caller.admin or service.owner in (SYSTEM, caller.user)


def may_reach(caller: Caller, service: ServiceRoute) -> bool:
    """Whether a caller may be told of at a service's host, where the service's APIs are within reach too.

    Which of its paths lead to an API only the service knows; so all of its APIs have to be allowed.
    """
    if caller.allow is None or caller.service == service.key:
        return True
    offered = (*service.exports, *(export for backend in service.backends for export in backend.exports))
    return all(caller.may_call(export.api) for export in offered)


def _proves_somebody(table: RouteTable, authorization: bytes) -> bool:
    """Whether a token of this node's, or of another one's, is in it, in whatever scheme it is sent."""
    text = authorization + b" " + _decoded(authorization)
    if _INSTANCES.search(text) or any(token.encode() in text for token in table.admin_tokens):
        return True
    words = {word.decode("latin-1") for word in _WORD.findall(text)}
    return not words.isdisjoint(table.callers) or not words.isdisjoint(table.sessions)


def _decoded(authorization: bytes) -> bytes:
    """What Basic hides."""
    scheme, _, rest = authorization.partition(b" ")
    try:
        return b64decode(rest.strip(), validate=True) if scheme.lower() == b"basic" else b""
    except ValueError:
        return b""


def fields_of(caller: Caller | None) -> bytes:
    """The field lines that tell a service who calls it."""
    if caller is None:
        return b""
    user, service = caller.user.encode(), caller.service.encode()
    return b"Atek-Auth-User: %b\r\nAtek-Auth-Service: %b\r\n" % (user, service)


def passed_fields(table: RouteTable, head: RequestHead) -> bytes:
    """The client's own field lines that go on to a service, without what belongs to the node."""
    lines = head.passed
    if head.cookie and table.sessions and session_token(table, head.cookie):
        lines = head.passed_without_cookie
        if rest := without_sessions(table, head.cookie):
            lines += b"Cookie: %b\r\n" % rest
    if head.authorization and not _proves_somebody(table, head.authorization):
        lines += b"Authorization: %b\r\n" % head.authorization
    return lines
