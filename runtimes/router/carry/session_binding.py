"""A session's way from the node's own host to a service's, as far as it depends on the moment."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from runtimes.router.carry.local_answer import LocalAnswer
from runtimes.router.decide.binding import back_location, bind_location
from runtimes.router.decide.decision import Answer
from runtimes.router.protocol.cookies import session_cookie
from runtimes.router.protocol.pages import redirect_fields

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.binding import AskForSession, GiveSession, TakeSession
    from runtimes.router.decide.decision import Decision


def ask_for_session(plane: Plane, client: Client, decision: AskForSession) -> Handler:
    """The way to the node's own host."""
    scheme = plane.scheme(client, decision.head)
    location = bind_location(decision.head, scheme, decision.service_id, decision.domain)
    return _redirect(plane, client, decision, location)


def give_session(plane: Plane, client: Client, decision: GiveSession) -> Handler:
    """The way back. Hosts that are for everybody take no token: it would reach the service."""
    head, service_id, token = decision.head, decision.service_id, ""
    if decision.private:
        token = plane.bindings.make(decision.session, service_id, monotonic())
    location = back_location(head, plane.scheme(client, head), service_id, decision.path, token)
    return _redirect(plane, client, decision, location)


def take_session(plane: Plane, client: Client, decision: TakeSession) -> Handler:
    """To the page that was asked for at first, which is asked for without the token."""
    session = plane.bindings.take(decision.token, decision.service_id, monotonic())
    secure = plane.scheme(client, decision.head) == b"https"
    cookie = session_cookie(session, secure=secure) if session else b""
    return _redirect(plane, client, decision, decision.target, cookie)


def _redirect(
    plane: Plane, client: Client, decision: Decision, location: bytes, cookie: bytes = b""
) -> Handler:
    fields = redirect_fields(location, cookie)
    return LocalAnswer(plane, client, Answer(decision.head, 302, fields=fields, series=decision.series))
