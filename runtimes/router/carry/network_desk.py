"""Where it is decided about what comes from the network: as at home, under the names the node has there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.carry.own_decisions import OwnDecisions
from runtimes.router.decide import request
from runtimes.router.protocol.fields import END
from runtimes.router.protocol.remembered import remember
from runtimes.router.protocol.request_head import parse_request

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision, IdentifyPeer
    from runtimes.router.decide.place import Names
    from runtimes.router.decide.proxy import Proxy
    from runtimes.router.decide.table import Caller, RouteTable
    from runtimes.router.protocol.request_head import RequestHead


class NetworkDesk(OwnDecisions):
    """Implements `plane.Counter` for one listener, whose names these are."""

    def __init__(self, plane: Plane, names: Names) -> None:
        super().__init__(plane)
        self.names = names

    @property
    def table(self) -> RouteTable:
        return self._plane.table

    def decide(self, head: bytes) -> Decision:
        """As `Plane.decide`. Raises BadHead."""
        table, decisions = self.table, self.decisions
        decision = request.unseen(table, request.decide(table, self.names, parse_request(head)))
        remember(decisions, head[: -len(END)], decision)
        return decision

    def decide_for(self, asked: IdentifyPeer, caller: Caller) -> Decision:
        """As `Plane.decide_for`."""
        return request.decide_for(self.table, self.names, asked, caller)

    def decide_again(self, head: RequestHead, caller: Caller | None = None) -> Decision:
        """As `Plane.decide_again`."""
        return request.unseen(self.table, request.decide_again(self.table, self.names, head, caller))

    def stands(self, decision: Proxy, caller: Caller | None = None) -> bool:
        """As `Plane.stands`."""
        if caller is None and decision.caller is None and not self.table.private:
            return True
        return request.stands(self.table, self.names, decision, caller)
