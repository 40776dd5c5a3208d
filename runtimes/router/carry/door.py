"""A listener that only one instance can reach: whoever connects there is that instance.

It lies inside of the network of a strict sandbox, or is a Unix socket that is shown to nobody else. So nobody
is anonymous there. A request may carry the token of somebody else, and then it is theirs; one that a page or
a proxy sends for somebody else, and that does not say for whom, is nobody's and is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.carry.own_decisions import OwnDecisions
from runtimes.router.decide.access import not_authorized
from runtimes.router.decide.decision import Answer, IdentifyPeer
from runtimes.router.protocol.fields import END
from runtimes.router.protocol.remembered import remember
from runtimes.router.protocol.request_head import parse_request

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.proxy import Proxy
    from runtimes.router.decide.table import Caller
    from runtimes.router.protocol.request_head import RequestHead


class Door(OwnDecisions):
    """Implements `plane.Desk` for the connections of the instance that has this token."""

    def __init__(self, plane: Plane, token: str) -> None:
        super().__init__(plane)
        self._token = token

    def decide(self, head: bytes) -> Decision:
        """As `Plane.decide`. Raises BadHead."""
        decisions = self.decisions
        decision = self._decide(parse_request(head))
        remember(decisions, head[: -len(END)], decision)
        return decision

    def decide_again(self, head: RequestHead) -> Decision:
        """As `Plane.decide_again`."""
        if (caller := self._caller(head)) is not None:
            return self._plane.decide_again(head, caller)
        return self._checked(head, self._plane.decide_again(head))

    def stands(self, decision: Proxy) -> bool:
        """As `Plane.stands`."""
        caller = self._caller(decision.head)
        return (caller is not None or decision.caller is None) and self._plane.stands(decision, caller)

    def _decide(self, head: RequestHead) -> Decision:
        caller = self._caller(head)
        decision = self._plane.decide_head(head, caller)
        return decision if caller is not None else self._checked(head, decision)

    def _caller(self, head: RequestHead) -> Caller | None:
        """The instance, unless it asks for somebody else, or has ended and is nobody any more."""
        if head.authorization or head.cookie or head.origin or head.for_another:
            return None
        return self._plane.table.callers.get(self._token)

    @staticmethod
    def _checked(head: RequestHead, decision: Decision) -> Decision:
        """Whose process it is was never in question; and who is nobody is no visitor either."""
        visits = decision.series[0] == "host" and decision.caller is None and not isinstance(decision, Answer)
        return not_authorized(head) if visits or isinstance(decision, IdentifyPeer) else decision
