"""Whether somebody may have what it asks for. What stands in the way is a decision of its own.

An instance calls the APIs that its manifest allows, at the gateway and at the hosts of those who export them,
whether or not it shows its token. To all others host names are open, until there are people: then to those
for whom a service is, at its host and as an API alike (`may_visit`), and a browser is sent to sign in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.authority import allows
from runtimes.router.decide.binding import ask_for_session, take_session
from runtimes.router.decide.decision import IdentifyPeer, RateLimited, refusal
from runtimes.router.decide.passed_fields import shows_token
from runtimes.router.decide.place import USER_SESSIONS_API, Calls, Host, SessionCalls, Socket
from runtimes.router.decide.table import NODE
from runtimes.router.decide.visiting import PUBLIC, may_visit

if TYPE_CHECKING:
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.place import Place
    from runtimes.router.decide.table import Caller, RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import RequestHead

#: Stands for what a service does that exports nothing: of all patterns only `*` stands for it.
_NAMELESS = ""
#: What somebody without a session needs to get one.
OPEN_METHODS = frozenset({"login", "whoami"})


def objection(table: RouteTable, head: RequestHead, place: Place, caller: Caller | None) -> Decision | None:
    """What happens instead of what was asked for; None where nothing is in the way.

    Of calls, each gets its answer in JSON-RPC's way (`rpc`), so here it is only asked who may send any.
    """
    match place:
        case Host():
            return _at_host(table, head, place, caller)
        case Socket():
            return _at_socket(table, head, place, caller)
        case Calls(api):
            return _at_calls(head, api, caller)
        case SessionCalls(api):
            return _at_session_calls(table, head, api, caller)
    return None


def _at_host(table: RouteTable, head: RequestHead, place: Host, caller: Caller | None) -> Decision | None:
    service = place.service
    if shows_token(table, head.target):
        message = "A token in the address would go on to the service: send it as Authorization: Bearer"
        return refusal(head, 400, message, kind="host", route=service.id)
    if caller is not None and not may_reach(table, caller, service):
        message = f"Not authorized: this service may not call what {service.id} exports"
        return refusal(head, 403, message, kind="host", route=service.id)
    return _at_private_host(head, place, caller) if table.private else None


def _at_private_host(head: RequestHead, place: Host, caller: Caller | None) -> Decision | None:
    """Where somebody goes who may not see this host, or has yet to say who it is."""
    service = place.service
    if not place.at_port and (taken := take_session(head, service)) is not None:
        return taken
    if caller is not None:
        if may_visit(caller, service):
            return None
        return refusal(head, 403, "Not authorized", kind="host", route=service.id)
    if service.access == PUBLIC:
        return None
    shown = head.method in (b"GET", b"HEAD") and head.accepts_html and not head.upgrade
    if shown and (place.home or not place.at_port):
        return ask_for_session(head, service, place.home)
    refused = refusal(head, 401, "Not authorized", kind="host", route=service.id)
    # A service that leaves its token out may still go where it may; a page or a proxy asks for somebody else.
    return refused if _asks_for_another(head) else IdentifyPeer(head, refused)


def _at_socket(table: RouteTable, head: RequestHead, place: Socket, caller: Caller | None) -> Decision | None:
    if caller is None:
        if _asks_for_another(head):
            return not_authorized(head)
        return IdentifyPeer(head, not_authorized(head))
    if place.service is None:
        return refusal(head, 404, f"No service available which matches {place.api}", kind="gateway")
    if not may_use(table, caller, place.api, place.service):
        message = f"Not authorized to call {place.api}"
        return refusal(head, 403, message, kind="gateway", route=place.api)
    return None


def _asks_for_another(head: RequestHead) -> bool:
    """Whether a page or a proxy asks, for somebody else than whose process it is."""
    return bool(head.authorization or head.origin or head.foreign or head.for_another)


def _at_calls(head: RequestHead, api: str, caller: Caller | None) -> Decision | None:
    if caller is None and (api != USER_SESSIONS_API or head.method != b"POST"):
        return not_authorized(head)
    return None if head.method == b"POST" else refusal(head, 404, "Not found", kind="gateway")


def _at_session_calls(
    table: RouteTable, head: RequestHead, api: str, caller: Caller | None
) -> Decision | None:
    """Everybody may sign in, but for a service that may not ask."""
    if caller is None or table.may_call(caller, api):
        return None
    return refusal(head, 403, f"Not authorized to call {api}", kind="gateway", route=api)


def not_authorized(head: RequestHead) -> RateLimited:
    """For somebody at the gateway who is not known; whoever goes on asking gets to hear that instead."""
    return RateLimited(head, refusal(head, 401, "Not authorized", kind="gateway"))


def may_use(table: RouteTable, caller: Caller, api: str, service: ServiceRoute) -> bool:
    """Whether a caller may call an API of a service. The node's own know what each person may."""
    if not table.may_call(caller, api):
        return False
    return caller.person is None or service.id == NODE or not table.private or may_visit(caller, service)


def may_reach(table: RouteTable, caller: Caller, service: ServiceRoute) -> bool:
    """Whether a caller may be told of at a service's host, where the service's APIs are within reach too.

    Which of its paths lead to an API only the service knows; so all of its APIs have to be allowed. What
    exports none has no name that `allow` could list: only who may call anything is told of there.
    """
    return caller.service == service.key or all(table.may_call(caller, api) for api in _offered(service))


def is_guarded(table: RouteTable, service: ServiceRoute) -> bool:
    """Whether there is a service that may not reach this one's host."""
    offered = _offered(service)
    return any(
        not allows(allow, api, nodes_own=api in table.own) for allow in table.grants for api in offered
    )


def _offered(service: ServiceRoute) -> set[str]:
    exports = (*service.exports, *(export for backend in service.backends for export in backend.exports))
    return {export.api for export in exports} or {_NAMELESS}
