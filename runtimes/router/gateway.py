"""The node's own host: the JSON-RPC gateway, its WebSockets, and the node's pages.

`POST /_atek/gateway?api=ID` delivers calls to whoever exports the API; `GET` with an upgrade makes a tunnel
to it. Who calls is known by a token or a session; everybody else may only log in.
"""

from __future__ import annotations

from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from runtimes.router import local
from runtimes.router.calls import GatewayCall
from runtimes.router.forward import Forward
from runtimes.router.identity import USER_SESSIONS_API, caller_of, session_token
from runtimes.router.pages import preflight_page, redirect
from runtimes.router.sessions import BIND_PATH, asked_for, back_location, login_location
from runtimes.router.unknown import UnknownPeer

if TYPE_CHECKING:
    from runtimes.router.client import Client, Handler
    from runtimes.router.head import RequestHead
    from runtimes.router.plane import Plane
    from runtimes.router.table import Caller, ServiceRoute

GATEWAY_PATH = b"/_atek/gateway"
#: What the node itself answers to everybody.
NODE_PAGES = frozenset({b"/", b"/livez", b"/readyz", b"/metrics"})
#: The node as a service among others in the table; no host name leads to it.
NODE = ""


def own_host(plane: Plane, client: Client, head: RequestHead) -> Handler:
    """A request to the node's own names."""
    if head.path == GATEWAY_PATH:
        return _gateway(plane, client, head)
    if head.path in NODE_PAGES:
        route = plane.table.services.get(NODE)
        if route is not None:
            return Forward(plane, client, head, route, route.backends, None, kind="node")
    if head.path == BIND_PATH:
        return _bind_session(plane, client, head)
    return local.error(plane, client, head, 404, "Not found")


def _gateway(plane: Plane, client: Client, head: RequestHead) -> Handler:
    if head.method == b"OPTIONS":
        return local.LocalAnswer(plane, client, head, 204, _preflight, kind="gateway")
    api = api_of(head.query)
    if head.upgrade == b"websocket" and head.method == b"GET" and not head.length:
        return _socket(plane, client, head, api)
    caller = caller_of(plane.table, head, _exporter(plane, api, "rpc"))
    if caller is None:
        if not plane.strangers.admit(_address(plane, client, head)):
            return local.error(plane, client, head, 429, "Too many requests", kind="gateway")
        if api != USER_SESSIONS_API or head.method != b"POST":
            return local.error(plane, client, head, 401, "Not authorized", kind="gateway")
    if head.method != b"POST":
        return local.error(plane, client, head, 404, "Not found", kind="gateway")
    return GatewayCall(plane, client, head, api, caller)


def _socket(plane: Plane, client: Client, head: RequestHead, api: str) -> Handler:
    caller = caller_of(plane.table, head, _exporter(plane, api, "proxy"))
    if caller is not None:
        return tunnel(plane, client, head, api, caller)
    if head.authorization or not plane.strangers.admit(_address(plane, client, head)):
        return local.error(plane, client, head, 401, "Not authorized", kind="gateway")
    return UnknownPeer(plane, client, head, lambda known: tunnel(plane, client, head, api, known))


def tunnel(plane: Plane, client: Client, head: RequestHead, api: str, caller: Caller) -> Handler:
    """A WebSocket to whoever exports the API over the proxy transport."""
    route = plane.table.api(api, "proxy")
    if route is None:
        message = f"No service available which matches {api}"
        return local.error(plane, client, head, 404, message, kind="gateway")
    if not caller.may_call(api):
        return local.error(
            plane, client, head, 403, f"Not authorized to call {api}", kind="gateway", route=api
        )
    paths = {target.backend.instance: target.path for target in route.targets}
    backends = [target.backend for target in route.targets]
    return Forward(plane, client, head, route.service, backends, caller, kind="gateway", paths=paths)


def _exporter(plane: Plane, api: str, transport: str) -> ServiceRoute | None:
    route = plane.table.api(api, transport)
    return route.service if route else None


@lru_cache(maxsize=256)
def api_of(query: bytes) -> str:
    """The API that a query names; empty when it names none, or several."""
    found = parse_qs(query).get(b"api", [])
    return found[0].decode("latin-1") if len(found) == 1 else ""


def _address(plane: Plane, client: Client, head: RequestHead) -> str:
    """Whom a stranger's requests are counted for. Only a proxy that is known may speak for others."""
    if head.forwarded_for and client.peer in plane.trusted_proxies:
        return head.forwarded_for.rpartition(b",")[2].strip().decode("latin-1")
    return client.peer


def _preflight(close: bool) -> bytes:
    return preflight_page(close=close)


def _bind_session(plane: Plane, client: Client, head: RequestHead) -> Handler:
    """Gives a browser that is logged in here a token for a service's host; others are sent to log in."""
    service_id, path = asked_for(head)
    session = session_token(head.cookie)
    if service_id not in plane.table.services or service_id == NODE:
        return local.error(plane, client, head, 404, "Not found")
    if session in plane.table.sessions:
        token = plane.bindings.make(session, service_id, monotonic())
        location = back_location(head, service_id, path, token)
    else:
        location = login_location(head)
    return local.LocalAnswer(plane, client, head, 302, lambda close: redirect(location, close=close))
