"""The decision that a request goes to a service as it is: all that can be known before there is a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtimes.router.carry.proxying import CLOSE, Forward
from runtimes.router.decide.identity import fields_of, passed_fields
from runtimes.router.protocol.request_head import WEBSOCKET, known_answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.carry.pool import Pool
    from runtimes.router.decide.table import Backend, Caller, RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import AnswerHead, RequestHead

#: Methods whose requests say their length even when it is 0 (RFC 9110, section 8.6).
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


@dataclass(frozen=True, slots=True)
class Pass:
    """A decision: the request goes to one of these instances of a service.

    `prefix` is the request up to its id: the same for all requests with this head. `paths` are by instance,
    where they are not the request's own; then the prefix has no request line. `only` names the instance where
    there is just one. `plain`: nothing has to be added to most answers. `upgrade` are the protocols that the
    service may switch to.
    """

    head: RequestHead
    service_id: str
    backends: tuple[Backend, ...]
    only: str
    caller: Caller | None
    series: tuple[str, str]
    plain: bool
    prefix: bytes
    known: dict[bytes, AnswerHead]
    upgrade: bytes = b""
    paths: Mapping[str, str] | None = None

    @classmethod
    def make(
        cls,
        table: RouteTable,
        head: RequestHead,
        route: ServiceRoute,
        backends: tuple[Backend, ...],
        caller: Caller | None,
        *,
        kind: str,
        paths: Mapping[str, str] | None = None,
    ) -> Pass:
        """Everything that can be known before there is a client."""
        upgrade = _upgrade(head) if kind != "node" else b""
        line = b"" if paths else b"%b %b HTTP/1.1\r\n" % (head.method, head.target)
        return cls(
            head=head,
            service_id=route.id,
            backends=backends,
            only=backends[0].instance if len(backends) == 1 else "",
            caller=caller,
            series=(kind, route.id),
            plain=head.keep_alive and not head.http_1_0,
            prefix=line + _fields(table, head, caller, upgrade),
            known=known_answers(head.method),
            upgrade=upgrade,
            paths=paths,
        )

    def start(self, plane: Plane, client: Client) -> Handler:
        return Forward(plane, client, self)

    @property
    def name(self) -> str:
        """Of whoever is asked, for messages."""
        return self.service_id or "the node"

    def prefix_for(self, pool: Pool) -> bytes:
        """The request to this instance, up to its id, where `paths` say it."""
        assert self.paths is not None
        return b"%b %b HTTP/1.1\r\n%b" % (
            self.head.method, self.paths[pool.backend.instance].encode(), self.prefix,
        )  # fmt: skip


def _upgrade(head: RequestHead) -> bytes:
    """What a service is asked to switch to. A WebSocket begins without a body; others may have one."""
    if head.length and (head.upgrade == WEBSOCKET or head.method not in _WITH_BODY):
        return b""
    return head.upgrade


def _fields(table: RouteTable, head: RequestHead, caller: Caller | None, upgrade: bytes) -> bytes:
    lines = [passed_fields(table, head), fields_of(caller)]
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
