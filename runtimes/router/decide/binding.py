"""How a browser that is logged in on the node's own host gets to a service's host: a token for one time.

    notes.example/a ──302──► example/_atek/bind-session?service=notes&path=/a   (no session cookie there yet)
    with a session  ──302──► notes.example/a?bst=TOKEN   ──302, Set-Cookie──►   notes.example/a
    without one     ──302──► example/_atek/login?service=notes&path=/a

The token never reaches the service, is good for 30 seconds, once, for that service only; the port is kept.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

from runtimes.router.protocol.query import values_of

if TYPE_CHECKING:
    from runtimes.router.protocol.request_head import RequestHead

BIND_PATH = b"/_atek/bind-session"
LOGIN_PATH = b"/_atek/login"
PARAMETER = b"bst"
#: Seconds in which a browser follows a redirect.
GOOD_FOR = 30.0
_MOST = 10_000
# What may stand in a request line; browsers read a backslash as a slash.
_LOCAL = re.compile(rb"/(?:[\x21\x22\x24-\x2e\x30-\x5b\x5d-\x7e][\x21\x22\x24-\x7e]*)?")


class Bindings:
    """The tokens that are on their way."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[str, str, float]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def make(self, session: str, service_id: str, now: float) -> str:
        """A token that stands for a session at one service's host."""
        self._tokens = {key: value for key, value in self._tokens.items() if value[2] > now}
        while len(self._tokens) >= _MOST:
            del self._tokens[next(iter(self._tokens))]
        token = secrets.token_urlsafe(32)
        self._tokens[token] = (session, service_id, now + GOOD_FOR)
        return token

    def take(self, token: str, service_id: str, now: float) -> str:
        """The session; empty for a token that was used, is too old, or is for another service."""
        session, wanted, until = self._tokens.pop(token, ("", "", 0.0))
        return session if wanted == service_id and until > now else ""


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
