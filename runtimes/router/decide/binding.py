"""How a browser that is logged in on the node's own host gets to a service's host: a token for one time.

    notes.example/a ──302──► example/_atek/bind-session?service=notes&path=/a   (no session cookie there yet)
    with a session  ──302──► notes.example/a?bst=TOKEN   ──302, Set-Cookie──►   notes.example/a
    without one     ──302──► example/_atek/login?service=notes&path=/a

The token never reaches the service, is good for 30 seconds, once, for that service only; the port is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from runtimes.router.decide.decision import Answer, refusal
from runtimes.router.decide.sessions import session_token
from runtimes.router.decide.table import NODE
from runtimes.router.protocol.pages import redirect_fields
from runtimes.router.protocol.query import values_of

if TYPE_CHECKING:
    from runtimes.router.decide.table import Caller, RouteTable
    from runtimes.router.protocol.request_head import RequestHead

BIND_PATH = b"/_atek/bind-session"
LOGIN_PATH = b"/_atek/login"
PARAMETER = b"bst"
# What may stand in a request line; browsers read a backslash as a slash.
_LOCAL = re.compile(rb"/(?:[\x21\x22\x24-\x2e\x30-\x5b\x5d-\x7e][\x21\x22\x24-\x7e]*)?")


@dataclass(frozen=True, slots=True)
class AskForSession:
    """At a service's host: a browser that has no session there is sent to the node's own."""

    head: RequestHead
    service_id: str
    domain: str
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return "host", self.service_id


@dataclass(frozen=True, slots=True)
class GiveSession:
    """At the node's own host: who is logged in gets a token for a service's, if that has any use for one."""

    head: RequestHead
    service_id: str
    path: bytes
    session: str
    private: bool
    series: tuple[str, str] = ("node", "")
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class TakeSession:
    """Back at the service's host, with a token that is good for one time: it becomes a cookie."""

    head: RequestHead
    service_id: str
    token: str
    target: bytes
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return "host", self.service_id


def give_session(table: RouteTable, head: RequestHead) -> GiveSession | Answer:
    """What a request to bind-session leads to: back with a session, and to the login page without one."""
    service_id, path = asked_for(head)
    if service_id not in table.services or service_id == NODE:
        return refusal(head, 404, "Not found")
    session = session_token(table, head.cookie)
    if not session:
        return Answer(head, 302, fields=redirect_fields(login_location(head)))
    return GiveSession(head, service_id, path, session, table.private)


def without_binding(head: RequestHead) -> tuple[str, bytes] | None:
    """The token in a request's query and the target without it; None when there is no token."""
    prefix = PARAMETER + b"="
    parts = head.query.split(b"&")
    tokens = [part[len(prefix) :] for part in parts if part.startswith(prefix)]
    if not tokens:
        return None
    rest = b"&".join(part for part in parts if not part.startswith(prefix))
    return tokens[0].decode("latin-1"), _local(head.path + (b"?" + rest if rest else b""))


def bind_location(head: RequestHead, scheme: bytes, service_id: str, domain: str) -> bytes:
    """Where a browser without a session is sent from a service's host."""
    path = quote(head.target, safe="").encode()
    host = domain.encode() + port_of(head)
    return b"%b://%b%b?service=%b&path=%b" % (scheme, host, BIND_PATH, service_id.encode(), path)


def asked_for(head: RequestHead) -> tuple[str, bytes]:
    """The service and the path that a request to bind-session names; ("", b"/") without."""
    service = next(iter(values_of(head.query, "service")), "")
    path = next(iter(values_of(head.query, "path")), "/")
    return service, _local(path.encode("utf-8", "replace"))


def back_location(head: RequestHead, scheme: bytes, service_id: str, path: bytes, token: str) -> bytes:
    """Back to the service's host, with the token if there is one."""
    joint = b"&" if b"?" in path else b"?"
    host = head.authority.rpartition(b":")[0] if port_of(head) else head.authority
    origin = b"%b://%b.%b%b" % (scheme, service_id.encode(), host, port_of(head))
    return origin + path + (b"%b%b=%b" % (joint, PARAMETER, token.encode()) if token else b"")


def login_location(head: RequestHead) -> bytes:
    """To the login page, which comes back to bind-session."""
    return LOGIN_PATH + (b"?" + head.query if head.query else b"")


def port_of(head: RequestHead) -> bytes:
    """`:2835` from the Host that the client used; empty without one."""
    name, colon, port = head.authority.rpartition(b":")
    return b":" + port if colon and port.isdigit() and name else b""


def _local(target: bytes) -> bytes:
    """A path on this host: `//evil.example` and control characters lead nowhere else."""
    return target if _LOCAL.fullmatch(target) else b"/"
