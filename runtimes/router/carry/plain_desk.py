"""Where it is decided about requests that come in the clear to a port that speaks TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.carry.own_decisions import OwnDecisions
from runtimes.router.decide.plain import decide_plain
from runtimes.router.protocol.fields import END
from runtimes.router.protocol.remembered import remember
from runtimes.router.protocol.request_head import parse_request

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.place import Names
    from runtimes.router.decide.proxy import Proxy
    from runtimes.router.protocol.request_head import RequestHead


class PlainDesk(OwnDecisions):
    """Implements `plane.Desk`: nothing gets further than to this answer."""

    def __init__(self, plane: Plane, names: Names) -> None:
        super().__init__(plane)
        self._names = names

    def decide(self, head: bytes) -> Decision:
        """As `Plane.decide`. Raises BadHead."""
        decisions = self.decisions
        decision = self.decide_again(parse_request(head))
        remember(decisions, head[: -len(END)], decision)
        return decision

    def decide_again(self, head: RequestHead) -> Decision:
        """As `Plane.decide_again`."""
        return decide_plain(self._plane.table, self._names, head, self._plane.tls.authority)

    def stands(self, decision: Proxy) -> bool:
        """There are none."""
        return False
