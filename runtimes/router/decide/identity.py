"""Who sends a request: a token, a user's session, or nobody that is known. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.authority import EVERYTHING
from runtimes.router.decide.sessions import session_of
from runtimes.router.decide.table import SYSTEM, Caller

if TYPE_CHECKING:
    from runtimes.router.decide.table import RouteTable, ServiceRoute
    from runtimes.router.protocol.request_head import RequestHead


def caller_of(table: RouteTable, head: RequestHead, service: ServiceRoute | None) -> Caller | None:
    """The caller, None when it is not known. `service` is the one that is called, if any.

    A cookie counts only for pages of the host that it was sent to: the pages of one service are no part of
    another, although a browser takes all of them for one site. So at the gateway it is a page of the node's
    own that asks, and never one of a service.
    """
    if head.token:
        return table.callers.get(head.token)
    if not table.sessions or not head.cookie:
        return None
    session = table.sessions.get(session_of(table, head.cookie))
    if session is None or head.elsewhere:
        return None
    return Caller(session.user, service.key if service else SYSTEM, session.admin, EVERYTHING)
