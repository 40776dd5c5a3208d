"""A request's way to a decision, from top to bottom.

That it is well formed was asked before, by `protocol`, and is why there is a head at all. What depends on
the moment (who is least busy, whether there is room to wait, how often an address asked) is not asked here
but by `carry`, when the decision is carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.decide import identity
from runtimes.router.decide.access import is_guarded, may_use, objection
from runtimes.router.decide.binding import GiveSession
from runtimes.router.decide.cross_site import cross_site, refuse_wider_network
from runtimes.router.decide.decision import Answer, Hold, IdentifyPeer, RateLimited
from runtimes.router.decide.identity import caller_of
from runtimes.router.decide.node_pages import node_page
from runtimes.router.decide.place import Calls, Host, NodePage, SessionCalls, Socket, place_of
from runtimes.router.decide.proxy import Proxy, proxy
from runtimes.router.decide.rpc import deliver

if TYPE_CHECKING:
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.place import Names
    from runtimes.router.decide.rpc import Deliver
    from runtimes.router.decide.table import Caller, RouteTable
    from runtimes.router.protocol.request_head import RequestHead


def decide(table: RouteTable, names: Names, head: RequestHead, peer: Caller | None = None) -> Decision:
    """What is to be done with a request. `peer` is who sends it, where that is known already."""
    # 1. What does it ask for?
    place = refuse_wider_network(head) or place_of(table, names, head)
    if isinstance(place, GiveSession):
        return cross_site(head, place) or place
    if not isinstance(place, (Host, NodePage, Calls, Socket, SessionCalls)):
        return place
    if isinstance(place, NodePage):
        return cross_site(head, place) or node_page(table, names, head, place)
    # 2. Who asks?
    caller = peer or caller_of(table, head, place)
    # 3. May they?
    if (objected := objection(table, head, place, caller)) is not None:
        return objected
    if (refused := cross_site(head, place)) is not None:
        return refused
    # 4. Where does it go? Calls are delivered one by one, all else goes to an instance as it is.
    decision: Deliver | Proxy | Hold
    if isinstance(place, Calls):
        decision = deliver(table, head, place.api, caller)
    else:
        decision = proxy(table, names.domain, head, place, caller)
    # 5. Is there an instance? Where there is about to be one, the request waits for it.
    if decision.held:
        decision = Hold(decision.service_id, decision)
    # 6. Who is not known and gets as far as a call wants to log in, which nobody may try without end.
    asks = isinstance(place, (Calls, SessionCalls)) and caller is None
    return RateLimited(head, decision) if asks else decision


def caller_by_device(table: RouteTable, names: Names, key: str, head: RequestHead) -> Caller | None:
    """Whose device sends a request."""
    place = place_of(table, names, head)
    if not isinstance(place, (Host, Calls, Socket)):
        return None
    return identity.caller_by_device(table, key, head, place)


def unseen(table: RouteTable, decision: Decision) -> Decision:
    """The decision about somebody of whom nothing is known but the head: a visitor may be a service."""
    if not isinstance(decision, (Proxy, Hold)) or decision.caller is not None or decision.series[0] != "host":
        return decision
    guarded = is_guarded(table, table.services[decision.service_id])
    return IdentifyPeer(decision.head, decision, needed=guarded)


def decide_for(table: RouteTable, names: Names, asked: IdentifyPeer, peer: Caller) -> Decision:
    """As `decide`, now that it is known that it is a process of this service.

    What it sends to a host for somebody else is not its own, but goes no further than the service may go.
    """
    head = asked.head
    decision = decide(table, names, head, peer)
    passed_on = head.authorization or head.cookie or head.origin or head.for_another
    if passed_on and asked.series[0] == "host" and not isinstance(decision, Answer):
        return asked.otherwise
    return decision


def decide_again(table: RouteTable, names: Names, head: RequestHead, peer: Caller | None = None) -> Decision:
    """As `decide`, about a request that was admitted already and has waited long enough."""
    decision = decide(table, names, head, peer)
    if isinstance(decision, RateLimited):
        decision = decision.otherwise
    return decision.otherwise if isinstance(decision, Hold) else decision


def stands(table: RouteTable, names: Names, decision: Proxy, peer: Caller | None = None) -> bool:
    """Whether who was let in by that decision would be let in now: asked about what goes on for long.

    Where a service has no instance any more, that is for those to say who are with it.
    """
    place = place_of(table, names, decision.head)
    if not isinstance(place, (Host, Socket)):
        return True
    caller = peer or caller_of(table, decision.head, place)
    if caller is None and decision.caller is not None:
        return False
    if isinstance(place, Host):
        return objection(table, decision.head, place, caller) is None
    if caller is None or place.service is None:
        return False
    return may_use(table, caller, place.api, place.service)
