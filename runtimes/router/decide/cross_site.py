"""Whether a page of another site may do what it asks for. Else there is a refusal. Pure.

Following a link is free, and so is showing a picture: GET and HEAD go on, but count as nobody's (`identity`),
and what comes back is not for that page to read (`protocol.page_answers`). What may change something is for
pages of the very host that is asked: any other method, a WebSocket, and the question whether a page may
(a preflight). The pages of one service are another site to all others.

A service that wants to be asked by other sites says `crossSite: allow`. The gateway is for programs too,
which say who they are by a token; a page has one only if somebody gave it to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.decide.decision import refusal
from runtimes.router.decide.place import Calls, Host, Socket

if TYPE_CHECKING:
    from runtimes.router.decide.binding import GiveSession
    from runtimes.router.decide.decision import Answer
    from runtimes.router.decide.place import Place
    from runtimes.router.protocol.request_head import RequestHead

#: These change nothing (RFC 9110, section 9.2.1).
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})


def refuse_wider_network(head: RequestHead) -> Answer | None:
    """The answer to a browser that asks whether a page of the internet may reach this network: no."""
    if not head.from_wider_network:
        return None
    return refusal(head, 403, "Refused: pages of other networks may not reach this one", kind="host")


def cross_site(head: RequestHead, place: Place | GiveSession) -> Answer | None:
    """The answer to a page of another site that may not do this; None where nothing is in the way."""
    if not head.foreign or not _acts(head):
        return None
    match place:
        case Host(service):
            if service.cross_site:
                return None
            message = (
                f"Refused: a page of another site asks {service.id} to do something; "
                "`crossSite: allow` in its manifest would let it"
            )
            return refusal(head, 403, message, kind="host", route=service.id)
        case Calls() | Socket():
            return None if head.token else refusal(head, 403, _GATEWAY, kind="gateway")
    return refusal(head, 403, "Refused: a page of another site asks the node to do something")


_GATEWAY = "Refused: a page of another site calls without a token"


def _acts(head: RequestHead) -> bool:
    return head.method not in _SAFE or bool(head.upgrade) or head.preflight
