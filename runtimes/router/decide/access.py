"""What happens with requests to host names: a service's pages, and who may see them."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.carry.held import held
from runtimes.router.carry.own_answer import Answer, refusal
from runtimes.router.decide.binding import bind_location, without_binding
from runtimes.router.decide.identity import caller_of, may_reach, may_visit
from runtimes.router.decide.proxy import Pass
from runtimes.router.protocol.pages import page, redirect

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.table import Caller, RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import RequestHead

_HOST = ("host", "")


def decide_host(table: RouteTable, domain: str, head: RequestHead, service_id: str) -> Decision:
    """All methods and paths go to the service, whoever asks, unless hosts are private."""
    route = table.services.get(service_id) if service_id else None
    if route is None:
        return _unknown_host(head)
    caller = caller_of(table, head, route)
    if caller is not None and not may_reach(caller, route):
        message = f"Not authorized: this service may not call what {route.id} exports"
        return refusal(head, 403, message, kind="host", route=route.id)
    if table.private:
        hindrance = _hindrance(head, domain, route, caller)
        if hindrance is not None:
            return hindrance
    return held(route, Pass.make(table, head, route, route.backends, caller, kind="host"))


def decide_foreign(head: RequestHead) -> Decision:
    """A name that is not ours: somebody made it lead here (DNS rebinding), or made a mistake."""
    return refusal(head, 421, "this node has no such host name", kind="host")


def _unknown_host(head: RequestHead) -> Decision:
    body = b"Not found: no service is currently hosted at %b" % head.authority
    head_only = head.method == b"HEAD"
    return Answer(head, 404, lambda close: page(404, body, close=close, head_only=head_only), _HOST)


def _hindrance(head: RequestHead, domain: str, route: ServiceRoute, caller: Caller | None) -> Decision | None:
    """Where somebody goes who may not see this host, or has yet to say who it is; None for who may."""
    if (binding := without_binding(head)) is not None:
        token, target = binding
        return Bind(head, route, token, target)
    if caller is not None:
        allowed = may_visit(caller, route)
        return None if allowed else refusal(head, 403, "Not authorized", kind="host", route=route.id)
    if head.method in (b"GET", b"HEAD") and head.accepts_html and not head.upgrade:
        return AskForBinding(head, route, domain)
    return refusal(head, 401, "Not authorized", kind="host", route=route.id)


@dataclass(frozen=True, slots=True)
class AskForBinding:
    """The way to the node's own host, for a browser that has no session at this one."""

    head: RequestHead
    route: ServiceRoute
    domain: str
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return "host", self.route.id

    def start(self, plane: Plane, client: Client) -> Handler:
        location = bind_location(self.head, plane.scheme(client, self.head), self.route.id, self.domain)
        answer = Answer(self.head, 302, lambda close: redirect(location, close=close), self.series)
        return answer.start(plane, client)


@dataclass(frozen=True, slots=True)
class Bind:
    """The way back from the node's own host, with a token that is good for one time: it becomes a cookie."""

    head: RequestHead
    route: ServiceRoute
    token: str
    target: bytes
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return "host", self.route.id

    def start(self, plane: Plane, client: Client) -> Handler:
        session = plane.bindings.take(self.token, self.route.id, monotonic())
        cookie = b"session=%b; Path=/; HttpOnly; SameSite=Lax" % session.encode() if session else b""
        target = self.target

        def make(close: bool) -> bytes:
            return redirect(target, cookie=cookie, close=close)

        return Answer(self.head, 302, make, self.series).start(plane, client)
