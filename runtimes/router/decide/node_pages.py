"""What of the node's own pages is for whom, once there are people. Pure.

    /livez                       everybody
    /readyz, /metrics            all of it: the node's owners, who has a token of theirs or one to read, and
                                 who asks from this machine; of /readyz whether, without why, everybody
    /                            who is signed in; everybody else is sent to sign in
    forms, hooks                 everybody: they look for themselves

Without people all of it is everybody's, as the node is on loopback then. A proxy in front of the node, or
whoever uses another name of it, is not this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.decide.binding import LOGIN_PATH
from runtimes.router.decide.decision import Answer, FromHere, refusal
from runtimes.router.decide.identity import caller_of
from runtimes.router.decide.passed_fields import session_field
from runtimes.router.decide.place import LOOPBACK_NAMES
from runtimes.router.decide.proxy import proxy
from runtimes.router.protocol.pages import redirect_fields

if TYPE_CHECKING:
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.place import Names, NodePage
    from runtimes.router.decide.table import Caller, RouteTable
    from runtimes.router.protocol.request_head import RequestHead

FRONT, READYZ, METRICS, LOGOUT = b"/", b"/readyz", b"/metrics", b"/_atek/logout"
#: Told to the node with what is to be answered without details.
BRIEF = b"Atek-Auth-Details: none\r\n"


def node_page(table: RouteTable, names: Names, head: RequestHead, place: NodePage) -> Decision:
    """What is to be done with a request for a page of the node."""
    if head.path == LOGOUT:
        return proxy(table, names.domain, head, place, None, more=session_field(table, head))
    whole = proxy(table, names.domain, head, place, None)
    if not table.private or head.path not in (FRONT, READYZ, METRICS):
        return whole
    caller = caller_of(table, head, place)
    if head.path == FRONT:
        return _front(table, names, head, place, caller)
    # Where a person's main service is, a page of that service's may ask as well.
    by_page = caller is not None and caller.person is not None and bool(caller.person.main)
    if head.token in table.readers or (caller is not None and caller.admin and not by_page):
        return whole
    otherwise: Decision
    if head.path == READYZ:
        otherwise = proxy(table, names.domain, head, place, None, more=BRIEF)
    else:
        message = "Not authorized: this needs an owner's session, or a token (atek token --read-only)"
        otherwise = refusal(head, 401 if caller is None else 403, message)
    if head.for_another or head.host not in LOOPBACK_NAMES:
        return otherwise
    return FromHere(head, whole, otherwise)


def _front(
    table: RouteTable, names: Names, head: RequestHead, place: NodePage, caller: Caller | None
) -> Decision:
    if caller is None or (caller.person is None and not caller.admin):
        return Answer(head, 302, fields=redirect_fields(LOGIN_PATH))
    return proxy(table, names.domain, head, place, caller)
