"""A connection about which the kernel said whose process made it: as long as it lasts, that is who asks.

An instance's is that instance's, and nobody's any more once the instance has ended. That it is none's is true
for the table that was asked about: who is new in the next one may have connected before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.carry.own_decisions import OwnDecisions
from runtimes.router.decide.access import not_authorized
from runtimes.router.decide.decision import Hold, IdentifyPeer
from runtimes.router.protocol.fields import END
from runtimes.router.protocol.remembered import remember

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Counter, Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.proxy import Proxy
    from runtimes.router.protocol.request_head import RequestHead


class KnownPeer(OwnDecisions):
    """Implements `plane.Desk`. `token` is the instance's, empty where it is none's.

    `ours`: a process of this node, of which nobody knows which instance's it is, and which may nothing.
    """

    def __init__(
        self,
        plane: Plane,
        counter: Counter,
        token: str,
        *,
        ours: bool,
        looked_at: dict[bytes, Decision] | None = None,
    ) -> None:
        """`counter`: where it would be decided about somebody who is not known.

        `looked_at`: what the plane had decided when the kernel was asked; left out: what it has now.
        """
        super().__init__(plane)
        self.counter = counter
        self._token = token
        self._ours = ours
        self._looked_at = plane.decisions if looked_at is None else looked_at

    def decide(self, head: bytes) -> Decision:
        """As `Plane.decide`. Raises BadHead."""
        decisions, key = self.decisions, head[: -len(END)]
        decision = self.settled(self.counter.decisions.get(key) or self.counter.decide(head))
        remember(decisions, key, decision)
        return decision

    def decide_again(self, head: RequestHead) -> Decision:
        """As `Plane.decide_again`."""
        decision = self.settled(self.counter.decide_again(head))
        # It has waited already, whoever it turns out to be.
        return decision.otherwise if isinstance(decision, Hold) else decision

    def stands(self, decision: Proxy) -> bool:
        """As `Plane.stands`."""
        if not self._token or decision.head.token in self.counter.table.callers:
            return self.counter.stands(decision)
        caller = self.counter.table.callers.get(self._token)
        return caller is not None and self.counter.stands(decision, caller)

    def settled(self, decision: Decision) -> Decision:
        """The decision, now that it is known who asks."""
        if not isinstance(decision, IdentifyPeer):
            return decision
        if self._token:
            caller = self.counter.table.callers.get(self._token)
            return (
                not_authorized(decision.head) if caller is None else self.counter.decide_for(decision, caller)
            )
        if self._looked_at is not self._plane.decisions:
            return decision
        return not_authorized(decision.head) if self._ours else decision.otherwise
