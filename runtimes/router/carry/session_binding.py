"""A session's way from the node's own host to a service's, as far as it depends on the moment."""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.carry.bindings import Binding
from runtimes.router.carry.local_answer import LocalAnswer
from runtimes.router.decide.binding import (
    back_location,
    bind_location,
    home_location,
    port_location,
    state_of,
)
from runtimes.router.decide.bound_sessions import bound_value, cookie_name
from runtimes.router.decide.decision import Answer, refusal
from runtimes.router.decide.place import has_names_below
from runtimes.router.protocol.cookies import host_cookie
from runtimes.router.protocol.pages import redirect_fields

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.binding import AskForSession, GiveSession, TakeSession
    from runtimes.router.decide.decision import Decision

_NO_COOKIES = (
    "This browser did not keep a cookie of this site, or came here by somebody else's link: try again"
)


def ask_for_session(plane: Plane, client: Client, decision: AskForSession) -> Handler:
    """The way to the node's own host. Whether a browser keeps secure cookies here, only trying it tells."""
    head, service, way = decision.head, decision.service, decision.way
    if decision.home:
        location = home_location(head, plane.scheme(client, head), service.id, decision.home)
        return _redirect(plane, client, decision, location)
    scheme, cookies = plane.scheme(client, head), ()  # type: tuple[bytes, tuple[bytes, ...]]
    if not way:
        way = secrets.token_urlsafe(16)
        kinds = (True,) if scheme == b"https" else (True, False)
        cookies = tuple(
            host_cookie(cookie_name(service, secure=secure, way=True), way, secure=secure) for secure in kinds
        )
    location = bind_location(head, scheme, service.id, state_of(way))
    return _redirect(plane, client, decision, location, *cookies)


def give_session(plane: Plane, client: Client, decision: GiveSession) -> Handler:
    """The way back. Hosts that are for everybody take no token: it would reach the service."""
    head, service_id, token = decision.head, decision.service_id, ""
    # Another port of this name may be somebody else's.
    ports = plane.ports.get(service_id, set())
    if decision.port in ports or (ports and not has_names_below(decision.domain, head.host)):
        port = decision.port if decision.port in ports else min(ports)
        location = port_location(head, plane.scheme(client, head), port, decision.path)
        return _redirect(plane, client, decision, location)
    if decision.private and decision.state:
        token = plane.bindings.make(Binding(decision.session, service_id, decision.state), monotonic())
    scheme = plane.scheme(client, head)
    location = back_location(head, scheme, service_id, decision.domain, decision.path, token)
    return _redirect(plane, client, decision, location)


def take_session(plane: Plane, client: Client, decision: TakeSession) -> Handler:
    """To the page that was asked for at first, which is asked for without the token."""
    table, service = plane.table, decision.service
    found = plane.bindings.take(decision.token, service.id, monotonic())
    if found is None or found.session not in table.sessions:
        return _redirect(plane, client, decision, decision.target)
    if not _is_same_browser(found, decision):
        answer = refusal(decision.head, 403, _NO_COOKIES, kind="host", route=service.id)
        return LocalAnswer(plane, client, answer)
    secure = decision.states.get(found.state) or plane.scheme(client, decision.head) == b"https"
    name, value = cookie_name(service, secure=secure), bound_value(table, found.session, service)
    return _redirect(plane, client, decision, decision.target, host_cookie(name, value, secure=secure))


def _is_same_browser(found: Binding, decision: TakeSession) -> bool:
    """Whether the one that came back is the one that set out."""
    return found.state in decision.states


def _redirect(plane: Plane, client: Client, decision: Decision, location: bytes, *cookies: bytes) -> Handler:
    fields = redirect_fields(location, *cookies)
    return LocalAnswer(plane, client, Answer(decision.head, 302, fields=fields, series=decision.series))
