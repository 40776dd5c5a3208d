"""What happens with requests to host names: a service's pages, and who may see them."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router import local
from runtimes.router.forward import Forward
from runtimes.router.identity import caller_of, may_visit
from runtimes.router.pages import page, redirect
from runtimes.router.sessions import bind_location, without_binding

if TYPE_CHECKING:
    from runtimes.router.client import Client, Handler
    from runtimes.router.head import RequestHead
    from runtimes.router.plane import Plane
    from runtimes.router.table import Caller, ServiceRoute


def service_host(plane: Plane, client: Client, head: RequestHead, service_id: str) -> Handler:
    """All methods and paths go to the service, whoever asks, unless hosts are private."""
    route = plane.table.services.get(service_id) if service_id else None
    if route is None:
        return _unknown_host(plane, client, head)
    caller = caller_of(plane.table, head, route)
    if plane.table.private:
        refusal = _refusal(plane, client, head, route, caller)
        if refusal is not None:
            return refusal
    return Forward(plane, client, head, route, route.backends, caller, kind="host")


def foreign_host(plane: Plane, client: Client, head: RequestHead) -> Handler:
    """A name that is not ours: somebody made it lead here (DNS rebinding), or made a mistake."""
    return local.error(plane, client, head, 421, "this node has no such host name", kind="host")


def _unknown_host(plane: Plane, client: Client, head: RequestHead) -> Handler:
    body = b"Not found: no service is currently hosted at %b" % head.authority
    head_only = head.method == b"HEAD"

    def make(close: bool) -> bytes:
        return page(404, body, close=close, head_only=head_only)

    return local.LocalAnswer(plane, client, head, 404, make, kind="host")


def _refusal(
    plane: Plane, client: Client, head: RequestHead, route: ServiceRoute, caller: Caller | None
) -> Handler | None:
    """Where somebody goes who may not see this host, or has yet to say who it is; None for who may."""
    if (binding := without_binding(head)) is not None:
        return _bind(plane, client, head, route, *binding)
    if caller is not None:
        if may_visit(caller, route):
            return None
        return local.error(plane, client, head, 403, "Not authorized", kind="host", route=route.id)
    if head.method in (b"GET", b"HEAD") and head.accepts_html and not head.upgrade:
        location = bind_location(head, route.id, plane.domain)
        return _redirect(plane, client, head, location, route)
    return local.error(plane, client, head, 401, "Not authorized", kind="host", route=route.id)


def _bind(
    plane: Plane, client: Client, head: RequestHead, route: ServiceRoute, token: str, target: bytes
) -> Handler:
    """The way back from the node's own host, with a token that is good for one time: it becomes a cookie."""
    session = plane.bindings.take(token, route.id, monotonic())
    cookie = b"session=%b; Path=/; HttpOnly; SameSite=Lax" % session.encode() if session else b""
    return _redirect(plane, client, head, target, route, cookie=cookie)


def _redirect(
    plane: Plane,
    client: Client,
    head: RequestHead,
    location: bytes,
    route: ServiceRoute,
    *,
    cookie: bytes = b"",
) -> Handler:
    def make(close: bool) -> bytes:
        return redirect(location, cookie=cookie, close=close)

    return local.LocalAnswer(plane, client, head, 302, make, kind="host", route=route.id)
