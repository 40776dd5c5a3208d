"""What is to be done with a request: a value that depends on its head and the route table alone.

So it is made once for each head and table, and remembered: a client that sends the same head again (programs
do, and most of a browser's requests are alike) costs one look-up, however much there was to check. `carry`
has a handler for each kind; what depends on the moment is looked at there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runtimes.router.protocol.pages import CORS, JSON, TEXT, error_body

if TYPE_CHECKING:
    from runtimes.router.decide.table import Caller
    from runtimes.router.protocol.request_head import RequestHead

#: A field's name and value.
Field = tuple[bytes, bytes]


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


@dataclass(frozen=True, slots=True)
class Answer:
    """The router answers this by itself. `kind` is that of the body, a media type."""

    head: RequestHead
    status: int
    body: bytes = b""
    kind: bytes = TEXT
    fields: tuple[Field, ...] = ()
    series: tuple[str, str] = ("node", "")
    caller: Caller | None = None


def refusal(head: RequestHead, status: int, message: str, *, kind: str = "node", route: str = "") -> Answer:
    """An error in JSON. Those of the gateway may be read by any page, as its answers."""
    fields = (CORS,) if kind == "gateway" else ()
    return Answer(head, status, error_body(message), JSON, fields, (kind, route))


@dataclass(frozen=True, slots=True)
class RateLimited:
    """From somebody who is not known: `otherwise`, unless its address asks too often."""

    head: RequestHead
    otherwise: Decision
    series: tuple[str, str] = ("gateway", "")
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class FromHere:
    """A request whose head says nothing against that it comes from this machine: `here`, if it does."""

    head: RequestHead
    here: Decision
    otherwise: Decision
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return self.here.series


@dataclass(frozen=True, slots=True)
class IdentifyPeer:
    """A request that says nothing about who sends it: the kernel knows whose process it is.

    `otherwise` is for who is no service's. `needed`: it is another matter for a service, wherever it comes
    from; else only where it costs nothing to know.
    """

    head: RequestHead
    otherwise: Decision
    needed: bool = True
    caller: Caller | None = None

    @property
    def series(self) -> tuple[str, str]:
        return self.otherwise.series


@dataclass(frozen=True, slots=True)
class Hold:
    """The request waits while its service is held; where it may not, `otherwise`."""

    service_id: str
    otherwise: Decision

    @property
    def head(self) -> RequestHead:
        return self.otherwise.head

    @property
    def series(self) -> tuple[str, str]:
        return self.otherwise.series

    @property
    def caller(self) -> Caller | None:
        return self.otherwise.caller
