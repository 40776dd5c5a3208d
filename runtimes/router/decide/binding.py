"""How a browser that is signed in on the node's own host gets to a service's host: a token for one time.

    notes.example/a ──302, Set-Cookie: atek-way──►  example/_atek/bind-session?service=notes&path=/a&state=…
    with a session  ──302──► notes.example/a?bst=TOKEN   ──302, Set-Cookie──►   notes.example/a
    without one     ──302──► example/_atek/login?service=notes&path=/a&state=…

The token never reaches the service, is good for 30 seconds, once, for that service only; the port is kept. It
is good only in the browser that set out: `state` is the digest of a cookie that only this one has. So nobody
gives somebody else a session of their own (login CSRF: RFC 6749, section 10.12, has the same answer).

At a port of its own a service is by the same name as the node, and so is its cookie: no token is needed.

    pi.local:8123/a  ──302──►  pi.local:2835/_atek/bind-session?service=notes&path=/a&at=8123  ──302──►  back
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote

from runtimes.router.decide.bound_sessions import ways_of
from runtimes.router.decide.decision import Answer, refusal
from runtimes.router.decide.sessions import session_of
from runtimes.router.decide.table import NODE
from runtimes.router.protocol.pages import redirect_fields
from runtimes.router.protocol.query import values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.router.decide.table import Caller, RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import RequestHead

BIND_PATH = b"/_atek/bind-session"
LOGIN_PATH = b"/_atek/login"
PARAMETER = b"bst"
# What may stand in a request line; browsers read a backslash as a slash.
_LOCAL = re.compile(rb"/(?:[\x21\x22\x24-\x2e\x30-\x5b\x5d-\x7e][\x21\x22\x24-\x7e]*)?")
_STATE, _PORT = re.compile(r"[0-9a-f]{32}"), re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class AskForSession:
    """At a service's host: a browser that has no session there is sent to the node's own.

    `way` is the word by which it is known again, empty where it has none yet. `home`: at a port of the
    service's own, the node's.
    """

    head: RequestHead
    service: ServiceRoute
    way: str = field(repr=False)
    home: int = 0
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return "host", self.service.id


@dataclass(frozen=True, slots=True)
class GiveSession:
    """At the node's own host: who is signed in gets a token for a service's, if that has any use for one.

    `session` is its id. Without a `state` nobody would take the token: the service's host asks for itself.
    `port`: of the service's own, where it came from there; else 0.
    """

    head: RequestHead
    service_id: str
    path: bytes
    session: str = field(repr=False)
    state: str
    domain: str
    private: bool
    port: int = 0
    series: tuple[str, str] = ("node", "")
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class TakeSession:
    """Back at the service's host, with a token that is good for one time: it becomes a cookie.

    `states` are those of the browser; whether it keeps secure cookies there.
    """

    head: RequestHead
    service: ServiceRoute
    token: str = field(repr=False)
    target: bytes
    states: Mapping[str, bool]
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return "host", self.service.id


def ask_for_session(head: RequestHead, service: ServiceRoute, home: int = 0) -> AskForSession:
    """To the node's own host. Whoever has set out before, in another window, is known by the same word."""
    return AskForSession(head, service, next(iter(ways_of(service, head.cookie)), ""), home)


def give_session(table: RouteTable, domain: str, head: RequestHead) -> GiveSession | Answer:
    """What a request to bind-session leads to: back with a session, and to the login page without one."""
    service_id, path = asked_for(head)
    if service_id not in table.services or service_id == NODE:
        return refusal(head, 404, "Not found")
    session = session_of(table, head.cookie)
    if not session:
        return Answer(head, 302, fields=redirect_fields(login_location(head)))
    state = next(iter(values_of(head.query, "state")), "")
    state = state if _STATE.fullmatch(state) else ""
    at = next(iter(values_of(head.query, "at")), "")
    port = int(at) if _PORT.fullmatch(at) else 0
    return GiveSession(head, service_id, path, session, state, domain, table.private, port)


def take_session(head: RequestHead, service: ServiceRoute) -> TakeSession | None:
    """What a request with a token leads to; None when there is no token."""
    found = without_binding(head)
    if found is None:
        return None
    states = {state_of(way): secure for way, secure in ways_of(service, head.cookie).items()}
    return TakeSession(head, service, *found, states)


def state_of(way: str) -> str:
    """What is told of the word by which a browser is known again."""
    return hashlib.sha256(way.encode()).hexdigest()[:32]


def without_binding(head: RequestHead) -> tuple[str, bytes] | None:
    """The token in a request's query and the target without it; None when there is no token."""
    prefix = PARAMETER + b"="
    parts = head.query.split(b"&")
    tokens = [part[len(prefix) :] for part in parts if part.startswith(prefix)]
    if not tokens:
        return None
    rest = b"&".join(part for part in parts if not part.startswith(prefix))
    return tokens[0].decode("latin-1"), _local(head.path + (b"?" + rest if rest else b""))


def bind_location(head: RequestHead, scheme: bytes, service_id: str, state: str) -> bytes:
    """Where a browser without a session is sent from a service's host: the host above it."""
    path = quote(head.target, safe="").encode()
    host = head.authority[len(service_id) + 1 :]
    query = b"service=%b&path=%b&state=%b" % (service_id.encode(), path, state.encode())
    return b"%b://%b%b?%b" % (scheme, host, BIND_PATH, query)


def home_location(head: RequestHead, scheme: bytes, service_id: str, home: int) -> bytes:
    """As `bind_location`, from a port of the service's own to the node's."""
    path = quote(head.target, safe="").encode()
    at = port_of(head).removeprefix(b":") or (b"443" if scheme == b"https" else b"80")
    query = b"service=%b&path=%b&at=%b" % (service_id.encode(), path, at)
    return b"%b://%b:%d%b?%b" % (scheme, _name_of(head), home, BIND_PATH, query)


def port_location(head: RequestHead, scheme: bytes, port: int, path: bytes) -> bytes:
    """Back to a port of a service's own, by the name that the node was asked by."""
    return b"%b://%b:%d%b" % (scheme, _name_of(head), port, path)


def asked_for(head: RequestHead) -> tuple[str, bytes]:
    """The service and the path that a request to bind-session names; ("", b"/") without."""
    service = next(iter(values_of(head.query, "service")), "")
    path = next(iter(values_of(head.query, "path")), "/")
    return service, _local(path.encode("utf-8", "replace"))


def back_location(
    head: RequestHead, scheme: bytes, service_id: str, domain: str, path: bytes, token: str
) -> bytes:
    """Back to the service's host, with the token if there is one. Nothing lies below an address."""
    joint = b"&" if b"?" in path else b"?"
    port = port_of(head)
    host = domain.encode() if _is_address(head.host) else _name_of(head)
    origin = b"%b://%b.%b%b" % (scheme, service_id.encode(), host, port)
    return origin + path + (b"%b%b=%b" % (joint, PARAMETER, token.encode()) if token else b"")


def login_location(head: RequestHead) -> bytes:
    """To the login page, which comes back to bind-session."""
    return LOGIN_PATH + (b"?" + head.query if head.query else b"")


def port_of(head: RequestHead) -> bytes:
    """`:2835` from the Host that the client used; empty without one."""
    name, colon, port = head.authority.rpartition(b":")
    return b":" + port if colon and port.isdigit() and name else b""


def _name_of(head: RequestHead) -> bytes:
    return head.authority.removesuffix(port_of(head))


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host.strip("[]")))
    except ValueError:
        return False


def _local(target: bytes) -> bytes:
    """A path on this host: `//evil.example` and control characters lead nowhere else."""
    return target if _LOCAL.fullmatch(target) else b"/"
