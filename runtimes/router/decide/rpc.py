"""The decision that the calls in a request's body go to whoever exports the API, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtimes.router.decide.access import OPEN_METHODS, may_use
from runtimes.router.decide.passed_fields import identity_fields, router_field
from runtimes.router.protocol import jsonrpc
from runtimes.router.protocol.jsonrpc import INVALID_PARAMS, NO_SUCH_METHOD, UNAVAILABLE

if TYPE_CHECKING:
    from runtimes.router.decide.table import ApiRoute, Backend, Caller, RouteTable, Target
    from runtimes.router.protocol.request_head import RequestHead


@dataclass(frozen=True, slots=True)
class Deliver:
    """A decision: the calls in the body go to whoever exports the API.

    `caller` is None for somebody who may only log in. `refused` is the error that every call gets instead,
    and `held` says that it need not, since calls may wait.
    `prefixes` begin the requests to each instance, up to the request's id; `length` goes on from there to a
    body that is as long as the client's. `only` names the instance where there is just one.
    """

    table: RouteTable
    head: RequestHead
    api: str
    caller: Caller | None
    service_id: str
    name: str
    backends: tuple[Backend, ...]
    only: str
    prefixes: dict[str, bytes]
    length: bytes
    refused: tuple[int, str] | None
    held: bool
    series: tuple[str, str]

    def by(self, table: RouteTable) -> Deliver:
        """The same by the table of the moment: a body or a batch may take longer than the first one lasts."""
        return self if table is self.table else deliver(table, self.head, self.api, self.caller)

    def may(self, method: str) -> bool:
        """Whether whoever calls may call that; somebody who is not known may only log in."""
        return self.caller is not None or method in OPEN_METHODS

    def refusal(self, call_id: object, method: str) -> bytes | None:
        """The answer to a call that is not delivered; None when it is."""
        if not self.may(method):
            return jsonrpc.failed(call_id, UNAVAILABLE, "Not authorized")
        return jsonrpc.failed(call_id, *self.refused) if self.refused else None


def deliver(table: RouteTable, head: RequestHead, api: str, caller: Caller | None) -> Deliver:
    """Everything that can be known before the body."""
    route = table.api(api, "rpc")
    allowed = caller is None or route is None or may_use(table, caller, api, route.service)
    held = route is not None and allowed and route.service.held
    targets = route.targets if route else ()
    service_id = route.service.id if route else ""
    return Deliver(
        table=table,
        head=head,
        api=api,
        caller=caller,
        service_id=service_id,
        name=service_id or "the node",
        backends=tuple(target.backend for target in targets),
        only=targets[0].backend.instance if len(targets) == 1 else "",
        length=length_line(head.length),
        refused=_refusal(route, api, allowed=allowed, caller=caller),
        held=held,
        series=("gateway", api if route else ""),
        prefixes={t.backend.instance: _prefix(t, head, caller) for t in targets},
    )


def _prefix(target: Target, head: RequestHead, caller: Caller | None) -> bytes:
    """None of the client's own fields but the one that belongs to a trace."""
    trace = b"traceparent: %b\r\n" % head.traceparent if head.traceparent else b""
    usual = b"HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return b"POST %b %b%b%b%bX-Request-Id: " % (
        target.path.encode(),
        usual,
        router_field(target.backend.token),
        identity_fields(caller),
        trace,
    )


def length_line(length: int) -> bytes:
    """What follows the id of a request, up to its body."""
    return b"\r\nContent-Length: %d\r\n\r\n" % length


def _refusal(
    route: ApiRoute | None, api: str, *, allowed: bool, caller: Caller | None
) -> tuple[int, str] | None:
    if not api:
        return INVALID_PARAMS, "the parameter api is missing: /_atek/gateway?api=ID"
    if route is None:
        return NO_SUCH_METHOD, f"No service available which matches {api}"
    if not allowed:
        who = "you" if caller is not None and caller.person is not None else "this service"
        return UNAVAILABLE, f"Not authorized: {who} may not call {api}"
    if not route.targets:
        return NO_SUCH_METHOD, f"No service available which matches {api}: {route.service.id} is not ready"
    return None
