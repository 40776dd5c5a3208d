"""The node's own host: the JSON-RPC gateway, its WebSockets, and the node's pages.

`POST /_atek/gateway?api=ID` delivers calls to whoever exports the API; `GET` with an upgrade makes a tunnel
to it. Who calls is known by a token or a session; everybody else may only log in.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.carry.calls import Deliver
from runtimes.router.carry.held import Hold, held
from runtimes.router.carry.identify import UnknownPeer
from runtimes.router.carry.own_answer import Answer, Stranger, refusal
from runtimes.router.decide.binding import BIND_PATH, asked_for, back_location, login_location
from runtimes.router.decide.identity import USER_SESSIONS_API, caller_of, session_token
from runtimes.router.decide.proxy import Pass
from runtimes.router.decide.table import NODE
from runtimes.router.protocol.pages import preflight_page, redirect
from runtimes.router.protocol.query import values_of

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.table import Caller, RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import RequestHead

GATEWAY_PATH = b"/_atek/gateway"
#: What the node itself answers to everybody.
NODE_PAGES = frozenset({b"/", b"/livez", b"/readyz", b"/metrics"})
_GATEWAY = ("gateway", "")


def decide_own(table: RouteTable, head: RequestHead) -> Decision:
    """A request to the node's own names."""
    if head.path == GATEWAY_PATH:
        return _decide_gateway(table, head)
    node = table.services.get(NODE)
    if head.path in NODE_PAGES and node is not None:
        if head.length:
            # Half of one would keep the node waiting for the rest.
            return refusal(head, 413, "this page takes no body")
        return Pass.make(table, head, node, node.backends, None, kind="node")
    if head.path == BIND_PATH:
        return BindSession(head)
    return refusal(head, 404, "Not found")


def _decide_gateway(table: RouteTable, head: RequestHead) -> Decision:
    if head.method == b"OPTIONS":
        return Answer(head, 204, lambda close: preflight_page(close=close), _GATEWAY)
    api = api_of(head.query)
    if head.upgrade == b"websocket" and head.method == b"GET" and not head.length:
        return _decide_socket(table, head, api)
    caller = caller_of(table, head, _exporter(table, api, "rpc"))
    if caller is None and (api != USER_SESSIONS_API or head.method != b"POST"):
        return Stranger(head, refusal(head, 401, "Not authorized", kind="gateway"))
    if head.method != b"POST":
        return refusal(head, 404, "Not found", kind="gateway")
    deliver = _decide_call(table, head, api, caller)
    return deliver if caller else Stranger(head, deliver)


def _decide_call(table: RouteTable, head: RequestHead, api: str, caller: Caller | None) -> Decision:
    deliver = Deliver.make(table, head, api, caller)
    return Hold(deliver.service_id, deliver) if deliver.held else deliver


def _decide_socket(table: RouteTable, head: RequestHead, api: str) -> Decision:
    caller = caller_of(table, head, _exporter(table, api, "proxy"))
    if caller is not None:
        return decide_tunnel(table, head, api, caller)
    if head.authorization or head.origin or head.for_another:
        # A page or a proxy asks for somebody else than whose process it is.
        return Stranger(head, refusal(head, 401, "Not authorized", kind="gateway"))
    return Unknown(head, api)


def decide_tunnel(table: RouteTable, head: RequestHead, api: str, caller: Caller) -> Decision:
    """A WebSocket to whoever exports the API over the proxy transport."""
    route = table.api(api, "proxy")
    if route is None:
        return refusal(head, 404, f"No service available which matches {api}", kind="gateway")
    if not caller.may_call(api):
        return refusal(head, 403, f"Not authorized to call {api}", kind="gateway", route=api)
    paths = {target.backend.instance: target.path for target in route.targets}
    backends = tuple(target.backend for target in route.targets)
    return held(
        route.service, Pass.make(table, head, route.service, backends, caller, kind="gateway", paths=paths)
    )


@dataclass(frozen=True, slots=True)
class Unknown:
    """A WebSocket that says nothing about who opens it."""

    head: RequestHead
    api: str
    series: tuple[str, str] = _GATEWAY
    caller: Caller | None = None

    def start(self, plane: Plane, client: Client) -> Handler:
        def admit(caller: Caller) -> Decision:
            return decide_tunnel(plane.table, self.head, self.api, caller)

        return UnknownPeer(plane, client, self.head, admit)


@dataclass(frozen=True, slots=True)
class BindSession:
    """Gives a browser that is logged in here a token for a service's host; others are sent to log in."""

    head: RequestHead
    series: tuple[str, str] = ("node", "")
    caller: Caller | None = None

    def start(self, plane: Plane, client: Client) -> Handler:
        head, table = self.head, plane.table
        service_id, path = asked_for(head)
        if service_id not in table.services or service_id == NODE:
            return refusal(head, 404, "Not found").start(plane, client)
        session = session_token(table, head.cookie)
        location = login_location(head)
        if session:
            # Hosts that are for everybody take no token: it would reach the service.
            token = plane.bindings.make(session, service_id, monotonic()) if table.private else ""
            location = back_location(head, plane.scheme(client, head), service_id, path, token)
        return Answer(head, 302, lambda close: redirect(location, close=close)).start(plane, client)


def _exporter(table: RouteTable, api: str, transport: str) -> ServiceRoute | None:
    route = table.api(api, transport)
    return route.service if route else None


def api_of(query: bytes) -> str:
    """The API that a query names; empty when it names none, or several."""
    found = values_of(query, "api")
    return found[0] if len(found) == 1 else ""
