"""Who sends a request: a token, a person's session, or nobody that is known. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from manifests.model.authority import EVERYTHING
from runtimes.router.decide.bound_sessions import handled, session_at
from runtimes.router.decide.place import Calls, Host, Socket
from runtimes.router.decide.sessions import session_of
from runtimes.router.decide.table import SYSTEM, Caller, on_page_of

if TYPE_CHECKING:
    from runtimes.router.decide.place import Place
    from runtimes.router.decide.table import RouteTable, Session
    from runtimes.router.protocol.request_head import RequestHead


def caller_of(table: RouteTable, head: RequestHead, place: Place) -> Caller | None:
    """The caller, None when it is not known.

    A cookie counts only for pages of the host that it was sent to: the pages of one service are no part of
    another, although a browser takes all of them for one site. So at the gateway it is a page of the node's
    own that asks, and never one of a service; and a service's host has a cookie of its own. At a service's
    port it is that of the node's host, which is the same one there: cookies know no ports.
    """
    if head.token:
        return table.callers.get(head.token)
    if not table.sessions or not head.cookie or head.elsewhere:
        return None
    if isinstance(place, Host) and not place.at_port:
        found = session_at(table, place.service, head.cookie)
    else:
        found = session_of(table, head.cookie)
    session = table.sessions.get(found)
    if session is None:
        return None
    return _person(table, session, place)


def caller_by_device(table: RouteTable, key: str, head: RequestHead, place: Place) -> Caller | None:
    """The person whose paired device sends a request; None where it is nobody's, or shows a token.

    What a page of elsewhere has the device ask is no more the person's than with a cookie.
    """
    session = table.devices.get(key)
    return None if session is None or head.token or head.elsewhere else _person(table, session, place)


def _person(table: RouteTable, session: Session, place: Place) -> Caller:
    service = place.service.key if place.service else SYSTEM
    caller = Caller(session.user, service, session.admin, EVERYTHING, session)
    main = table.services.get(session.main) if session.main else None
    if main is None or not isinstance(place, (Calls, Socket)):
        return caller
    # The pages of the node's own host are that service's for who has it there.
    return replace(on_page_of(caller, main), service=service)


def session_by(table: RouteTable, head: RequestHead) -> str:
    """The id of the session by which somebody is a caller who is one by a session."""
    return session_of(table, head.cookie) or handled(table, head.cookie)
