"""What is to be done with a request: a value that depends on its head and the route table alone.

So it is made once for each head and table, and remembered: a client that sends the same head again (programs
do, and most of a browser's requests are alike) costs one look-up, however much there was to check. `start`
turns it into the `Handler` of one request; what depends on the moment is looked at there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client
    from runtimes.router.carry.handler import Handler
    from runtimes.router.carry.plane import Plane
    from runtimes.router.decide.table import Caller
    from runtimes.router.protocol.request_head import RequestHead


class Decision(Protocol):
    """Immutable."""

    @property
    def head(self) -> RequestHead: ...

    @property
    def series(self) -> tuple[str, str]:
        """What it is counted as: kind (gateway, host or node) and route."""
        ...

    @property
    def caller(self) -> Caller | None: ...

    def start(self, plane: Plane, client: Client) -> Handler:
        """Begins to carry it out for one request of a client."""
        ...
