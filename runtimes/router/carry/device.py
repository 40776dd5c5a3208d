"""Requests from a paired device, which has proven its key to the daemon: that is who asks.

A device of a person is that person wherever a session cookie would be: not for what a page of elsewhere has
it ask. One of nobody is a visitor, as a browser of this machine is, who may sign in where there are people. A
token that a request shows is its own proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.router.carry.own_decisions import OwnDecisions
from runtimes.router.decide.decision import IdentifyPeer
from runtimes.router.protocol.fields import END
from runtimes.router.protocol.remembered import remember
from runtimes.router.protocol.request_head import parse_request

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.decision import Decision
    from runtimes.router.decide.proxy import Proxy
    from runtimes.router.decide.table import Caller
    from runtimes.router.protocol.request_head import RequestHead


class DeviceDesk(OwnDecisions):
    """Implements `plane.Desk` for the connections of the device with this key."""

    def __init__(self, plane: Plane, key: str) -> None:
        super().__init__(plane)
        self.key = key

    def decide(self, head: bytes) -> Decision:
        """As `Plane.decide`. Raises BadHead."""
        decisions, request = self.decisions, parse_request(head)
        decision = _settled(self._plane.decide_head(request, self._caller(request)))
        remember(decisions, head[: -len(END)], decision)
        return decision

    def decide_again(self, head: RequestHead) -> Decision:
        """As `Plane.decide_again`."""
        return _settled(self._plane.decide_again(head, self._caller(head)))

    def stands(self, decision: Proxy) -> bool:
        """As `Plane.stands`."""
        return self.key in self._plane.table.devices and self._plane.stands(
            decision, self._caller(decision.head)
        )

    def _caller(self, head: RequestHead) -> Caller | None:
        return self._plane.caller_by_device(self.key, head)


def _settled(decision: Decision) -> Decision:
    """Whose process it is was never in question: the daemon's, for somebody else."""
    return decision.otherwise if isinstance(decision, IdentifyPeer) else decision
