"""Which handler carries out which decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.carry.calls import SingleCall
from runtimes.router.carry.client import Client
from runtimes.router.carry.held import held
from runtimes.router.carry.identify import identify
from runtimes.router.carry.local_answer import LocalAnswer, from_here, rate_limited
from runtimes.router.carry.proxying import Proxying
from runtimes.router.carry.session_binding import ask_for_session, give_session, take_session
from runtimes.router.decide.binding import AskForSession, GiveSession, TakeSession
from runtimes.router.decide.decision import Answer, FromHere, Hold, IdentifyPeer, RateLimited
from runtimes.router.decide.proxy import Proxy
from runtimes.router.decide.rpc import Deliver

if TYPE_CHECKING:
    from runtimes.router.carry.client import Handlers
    from runtimes.router.carry.plane import Desk, Plane

HANDLERS: Handlers = {
    Deliver: SingleCall,
    Proxy: Proxying,
    Answer: LocalAnswer,
    RateLimited: rate_limited,
    FromHere: from_here,
    Hold: held,
    IdentifyPeer: identify,
    AskForSession: ask_for_session,
    GiveSession: give_session,
    TakeSession: take_session,
}


def accept(plane: Plane, desk: Desk | None = None) -> Client:
    """For a connection that a client has made; at an instance's own door it is decided at that desk."""
    return Client(plane, HANDLERS, desk or plane)
