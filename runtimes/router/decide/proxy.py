"""The decision that a request goes to a service as it is: all that can be known before there is a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtimes.router.decide.passed_fields import (
    identity_fields,
    passed_fields,
    session_field,
    sign_in_fields,
)
from runtimes.router.decide.place import Host, NodePage, SessionCalls, Socket
from runtimes.router.protocol.answer_head import known_answers
from runtimes.router.protocol.fields import WEBSOCKET
from runtimes.router.protocol.page_answers import AT_NODE, Reader
from runtimes.router.protocol.pages import CLOSE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.router.decide.table import Backend, Caller, RouteTable
    from runtimes.router.protocol.answer_head import Answers
    from runtimes.router.protocol.request_head import RequestHead

#: What goes to a service as it is.
Forwarded = Host | NodePage | Socket | SessionCalls
#: Methods whose requests say their length even when it is 0 (RFC 9110, section 8.6).
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


@dataclass(frozen=True, slots=True)
class Proxy:
    """A decision: the request goes to one of these instances of a service.

    `prefix` is the request up to its id: the same for all requests with this head. `paths` are by instance,
    where they are not the request's own; then the prefix has no request line. `only` names the instance where
    there is just one. `plain`: nothing has to be added to most answers. `upgrade` are the protocols that the
    service may switch to. `held`: there is no instance, but about to be one.
    """

    head: RequestHead
    service_id: str
    backends: tuple[Backend, ...]
    only: str
    caller: Caller | None
    series: tuple[str, str]
    plain: bool
    prefix: bytes
    known: Answers
    held: bool
    upgrade: bytes = b""
    paths: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """Of whoever is asked, for messages."""
        return self.service_id or "the node"

    def prefix_for(self, instance: str) -> bytes:
        """The request to this instance, up to its id, where `paths` say it."""
        assert self.paths is not None
        return b"%b %b HTTP/1.1\r\n%b" % (self.head.method, self.paths[instance].encode(), self.prefix)


def proxy(
    table: RouteTable,
    domain: str,
    head: RequestHead,
    place: Forwarded,
    caller: Caller | None,
    *,
    more: bytes = b"",
) -> Proxy:
    """To the service at that place. What names an API goes to the path at which each instance has it.

    `more` are field lines that the node is told besides.
    """
    route = place.service
    assert route is not None
    kind, backends, line = place.kind, route.backends, b"%b %b HTTP/1.1\r\n" % (head.method, head.target)
    paths: dict[str, str] | None = None
    if isinstance(place, (Socket, SessionCalls)):
        backends = tuple(target.backend for target in place.targets)
        paths = {target.backend.instance: target.path for target in place.targets}
        if paths:
            line = b""
    upgrade = _upgrade(head) if isinstance(place, (Host, Socket)) else b""
    if isinstance(place, SessionCalls) and caller:
        more = session_field(table, head)
    return Proxy(
        head=head,
        service_id=route.id,
        backends=backends,
        only=backends[0].instance if len(backends) == 1 else "",
        caller=caller,
        series=(kind, route.id),
        plain=head.keep_alive and not head.http_1_0,
        prefix=line + more + _who(domain, place, caller) + _fields(table, head, place, upgrade),
        known=known_answers(head.method, _reader(head, place)),
        held=route.held,
        upgrade=upgrade,
        paths=paths,
    )


def _reader(head: RequestHead, place: Forwarded) -> Reader:
    if isinstance(place, Socket):
        return Reader.GATEWAY
    reader = Reader.FOREIGN_PAGE if head.foreign else Reader.OWN_PAGE
    if not isinstance(place, Host):
        return reader
    reader = Reader.ANY_PAGE if place.service.cross_site else reader
    return AT_NODE[reader] if place.at_port else reader


def _upgrade(head: RequestHead) -> bytes:
    """What a service is asked to switch to. A WebSocket begins without a body; others may have one."""
    if head.length and (head.upgrade == WEBSOCKET or head.method not in _WITH_BODY):
        return b""
    return head.upgrade


def _who(domain: str, place: Forwarded, caller: Caller | None) -> bytes:
    told = place.service.sign_in if isinstance(place, Host) else ()
    return identity_fields(caller) + sign_in_fields(told, domain, caller)


def _fields(table: RouteTable, head: RequestHead, place: Forwarded, upgrade: bytes) -> bytes:
    assert place.service is not None
    lines = [passed_fields(table, head, place.service)]
    if head.length > 0 or (head.length == 0 and head.method in _WITH_BODY):
        lines.append(b"Content-Length: %d\r\n" % head.length)
    elif head.length < 0:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if head.length and head.method not in _WITH_BODY:
        # Servers forget that there may be a body, and would read it as the next request, identity and all.
        lines.append(CLOSE)
    if upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    if not head.authority:
        lines.append(b"Host: localhost\r\n")
    lines.append(b"X-Forwarded-Host: %b\r\nX-Request-Id: " % head.authority)
    return b"".join(lines)
