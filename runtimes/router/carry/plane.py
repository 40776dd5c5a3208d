"""What all connections share: the table of the moment and what was decided by it, the pools, the clocks, the
counters.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from runtimes.router.carry.bindings import Bindings
from runtimes.router.carry.buffered import Buffered
from runtimes.router.carry.connecting import connect
from runtimes.router.carry.deadlines import Deadlines
from runtimes.router.carry.holding import Holding
from runtimes.router.carry.pool import Pool
from runtimes.router.carry.rate_limit import RateLimit
from runtimes.router.carry.request_ids import request_ids
from runtimes.router.carry.tls import Tls
from runtimes.router.carry.turns import Turns
from runtimes.router.decide import request
from runtimes.router.decide.identity import session_by
from runtimes.router.decide.place import names_of
from runtimes.router.decide.table import changed, make_table, with_sessions
from runtimes.router.limits import Limits
from runtimes.router.protocol.fields import END
from runtimes.router.protocol.pages import error_page
from runtimes.router.protocol.remembered import remember
from runtimes.router.protocol.request_head import parse_request
from runtimes.router.tell.access_log import AccessLog
from runtimes.router.tell.metrics import BUCKETS, Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runtimes.router.carry.connection import Connection
    from runtimes.router.decide.decision import Decision, IdentifyPeer
    from runtimes.router.decide.proxy import Proxy
    from runtimes.router.decide.table import Backend, Caller, Credential, RouteTable, ServiceRoute, Session
    from runtimes.router.protocol.request_head import RequestHead


class Desk(Protocol):
    """Where it is decided about the requests of a connection: at the plane's, or at one instance's own."""

    @property
    def decisions(self) -> dict[bytes, Decision]:
        """What is remembered, by the bytes of the head without its empty line; a new one for each table."""
        ...

    def decide(self, head: bytes) -> Decision:
        """What is to be done with a request, by its head with the empty line. Raises BadHead."""
        ...

    def decide_again(self, head: RequestHead) -> Decision:
        """As `decide`, about a request that was admitted already and has waited long enough."""
        ...

    def stands(self, decision: Proxy) -> bool:
        """Whether who was let in by that decision would be let in now, by the table of the moment."""
        ...


class Counter(Desk, Protocol):
    """A desk for everybody: the plane's own, or one of a listener that the network reaches."""

    @property
    def table(self) -> RouteTable: ...

    def decide_for(self, asked: IdentifyPeer, caller: Caller) -> Decision:
        """What is to be done with a request, now that it is known whose process sends it."""
        ...

    def decide_again(self, head: RequestHead, caller: Caller | None = None) -> Decision:
        """See `Desk`. `caller`: who it is, where no token and no session says so."""
        ...

    def stands(self, decision: Proxy, caller: Caller | None = None) -> bool:
        """See `Desk`. `caller`: who it is, where no token and no session says so."""
        ...


#: Looks into /proc: they take the interpreter from those that are answered meanwhile.
LOOKS_AT_A_TIME = 2


class Plane:
    """One router's state. Used only from its event loop."""

    def __init__(
        self,
        *,
        domain: str = "localhost",
        admin_tokens: Iterable[str] = (),
        readers: Iterable[str] = (),
        limits: Limits | None = None,
        access_log: str = "",
        trusted_proxies: Iterable[str] = (),
        node: tuple[int, str] = (0, ""),
    ) -> None:
        """`node`: its process, and its run directory."""
        self.limits = limits = limits or Limits()
        self.domain = domain
        self._names = names_of(domain)
        self.tls = Tls()
        self.table = make_table({}, admin_tokens=admin_tokens, readers=readers)
        #: Of this table, by the bytes of the head without its empty line.
        self.decisions: dict[bytes, Decision] = {}
        #: By which sessions somebody asked since `take_seen`.
        self.seen: set[str] = set()
        self.metrics = Metrics()
        self.access_log = AccessLog(access_log) if access_log else None
        self.trusted_proxies = frozenset(trusted_proxies)
        self.node = node
        self.anonymous = RateLimit(limits.anonymous)
        self.bindings = Bindings()
        #: Of services' own, by their ids.
        self.ports: dict[str, set[int]] = {}
        self.holding = Holding(limits)
        self.buffered = Buffered(limits.buffered)
        self.turns = Turns()
        self.looking = asyncio.Semaphore(LOOKS_AT_A_TIME)
        self.ending = False
        self._leaving: set[Connection | None] = set()
        self._left = asyncio.Event()
        self.clients: set[Connection] = set()
        self.pools: dict[str, Pool] = {}
        self.idle: Deadlines[Connection] = Deadlines(limits.idle, self._idled)
        self.reading: Deadlines[Connection] = Deadlines(limits.reading_head, _too_slow)
        self.sending: Deadlines[Connection] = Deadlines(limits.stalled, _too_slow)
        self.stalled: Deadlines[Connection] = Deadlines(limits.stalled, _abort)
        self.closing: Deadlines[Connection] = Deadlines(limits.stalled, _abort)
        self.lingering: Deadlines[Connection] = Deadlines(limits.lingering, _abort)
        self._turn = 0
        self.ids = request_ids()

    # -- the table

    def update(self, routes: Mapping[str, ServiceRoute | None]) -> None:
        """Swaps the table; instances that are in it no more get no further request."""
        before = {backend.instance for name in routes for backend in self._backends(name)}
        self._swap(changed(self.table, routes))
        after = {backend.instance for name in routes for backend in self._backends(name)}
        for instance in before - after:
            pool = self.pools.get(instance)
            if pool is not None:
                pool.retire()
                if not pool.in_flight:
                    del self.pools[instance]
        for instance in (after - before) & self.pools.keys():
            self.pools[instance].serve_again()
        for name in () if self.ending else routes:
            self.holding.told(name, self.table.services.get(name))
        self._look_again()

    def set_devices(self, devices: Mapping[str, Session | None]) -> None:
        """Those that may come by a tunnel from now on; who is here and no more of them is cut off."""
        self._swap(replace(self.table, devices=devices))
        for client in [each for each in self.clients if each.device not in devices and each.device]:
            client.abort_all()
        self._look_again()

    def update_sessions(self, changes: Mapping[str, Session | None]) -> None:
        """Sessions, by their ids, that began, changed, or (None) ended: what goes on by these ends now."""
        self._swap(with_sessions(self.table, changes))
        self._look_again()

    def set_private(self, private: bool) -> None:
        """See `RouteTable`."""
        self._swap(replace(self.table, private=private))
        self._look_again()

    def take_certificate(self, pem: str, authority: str) -> None:
        """The certificate to show where TLS is spoken: see `Tls.take`."""
        self.tls.take(pem, authority)
        # What answers with the authority's certificate is another answer now.
        self.decisions = {}

    def take_seen(self) -> list[str]:
        """By which sessions somebody asked. What is decided already is decided again, so it is noticed."""
        seen, self.seen = self.seen - {""}, set()
        self.decisions = {}
        return sorted(seen)

    def _look_again(self) -> None:
        """What goes on for long ends with the right to it."""
        for pool in list(self.pools.values()):
            for exchange in [each for each in pool.in_flight if each.endless]:
                exchange.look_again()

    def _backends(self, service_id: str) -> tuple[Backend, ...]:
        route = self.table.services.get(service_id)
        return route.backends if route else ()

    # -- choosing an instance

    def pool(self, backend: Backend) -> Pool:
        pool = self.pools.get(backend.instance)
        if pool is None:
            pool = self.pools[backend.instance] = Pool(backend, self.limits, connect)
        return pool

    def choose(self, service_id: str, backends: Sequence[Backend], tried: Sequence[Pool] = ()) -> Pool | None:
        """The one with the fewest requests in flight; those that are equal take turns.

        A second attempt comes a moment after the first: what the table lost meanwhile is no choice any more.
        """
        if tried:
            current = self._backends(service_id)
            backends = [backend for backend in backends if backend in current]
        elif len(backends) == 1:
            return self.pools.get(backends[0].instance) or self.pool(backends[0])
        self._turn += 1
        chosen: Pool | None = None
        for number in range(len(backends)):
            pool = self.pool(backends[(number + self._turn) % len(backends)])
            if pool not in tried and (chosen is None or len(pool.in_flight) < len(chosen.in_flight)):
                chosen = pool
        return chosen

    # -- requests

    def decide(self, head: bytes) -> Decision:
        """What is to be done with a request, by its head with the empty line. Raises BadHead."""
        decision = request.unseen(self.table, request.decide(self.table, self._names, parse_request(head)))
        remember(self.decisions, head[: -len(END)], decision)
        if decision.caller is not None and decision.caller.person is not None:
            self.seen.add(session_by(self.table, decision.head))
        return decision

    def decide_head(self, head: RequestHead, caller: Caller | None) -> Decision:
        """As `decide`, of a head that was read already, by somebody who may be known; not remembered."""
        return request.decide(self.table, self._names, head, caller)

    def caller_by_device(self, key: str, head: RequestHead) -> Caller | None:
        """Whose device sends this, as `decide_head` wants to be told."""
        return request.caller_by_device(self.table, self._names, key, head)

    def decide_for(self, asked: IdentifyPeer, caller: Caller) -> Decision:
        """As `decide_head`, now that it is known whose process it is."""
        return request.decide_for(self.table, self._names, asked, caller)

    def stands(self, decision: Proxy, caller: Caller | None = None) -> bool:
        """See `Desk`. `caller`: who it is, where no token and no session says so."""
        if caller is None and decision.caller is None and not self.table.private:
            return True
        return request.stands(self.table, self._names, decision, caller)

    def credentials(self) -> list[Credential]:
        """Those of all instances whose processes are this machine's."""
        routes = self.table.services.values()
        return [credential for route in routes for credential in route.credentials if credential.pid]

    def decide_again(self, head: RequestHead, caller: Caller | None = None) -> Decision:
        """As `decide_head`, about a request that was admitted already and has waited long enough."""
        return request.unseen(self.table, request.decide_again(self.table, self._names, head, caller))

    def _swap(self, table: RouteTable) -> None:
        self.table = table
        self.decisions = {}

    def address(self, client: Connection, head: RequestHead) -> str:
        """Whom anonymous requests are counted for. Only a proxy that is known may speak for others."""
        if head.forwarded_for and client.peer in self.trusted_proxies:
            return head.forwarded_for.rpartition(b",")[2].strip().decode("latin-1")
        return client.peer

    def scheme(self, client: Connection, head: RequestHead) -> bytes:
        """How a person's browser got here: by https also where a proxy that is known says so."""
        told = head.forwarded_proto if client.peer in self.trusted_proxies else b""
        return told or client.scheme

    def answered(
        self, client: Connection, decision: Decision, status: int, seconds: float, request_id: bytes = b""
    ) -> None:
        """Counts a request that took so long, and writes it down."""
        metrics = self.metrics
        metrics.in_flight -= 1
        try:
            series = metrics.all[decision.series]
            series.statuses[status] += 1
        except KeyError:
            series = metrics.series(*decision.series)
            series.statuses[status] = 1
        series.latencies[bisect_left(BUCKETS, seconds)] += 1
        series.seconds += seconds
        if self.access_log is not None:
            self.access_log.add(
                decision, peer=client.peer, status=status, seconds=seconds, request_id=request_id
            )

    def refused(self, client: Connection, status: int, message: str) -> None:
        """A request that broke the rules."""
        self.metrics.refuse(status)
        if self.access_log is not None:
            self.access_log.refused(peer=client.peer, status=status, reason=message)

    # -- connections

    def opened(self, client: Connection) -> None:
        self.clients.add(client)
        self.metrics.connections += 1
        self.idle.add(client)
        if self.metrics.connections > self.limits.connections:
            client.send(error_page(503, "too many connections", close=True))
            client.close()

    def closed(self, client: Connection) -> None:
        self.clients.discard(client)
        self.metrics.connections -= 1
        if self.ending:
            self._leave(client)
        for clock in (self.idle, self.reading, self.sending, self.stalled, self.closing, self.lingering):
            clock.drop(client)

    def _idled(self, client: Connection) -> None:
        """Idle connections keep their place in line while they work; it is looked at when it is due."""
        if client.waits and monotonic() - client.used >= self.limits.idle:
            client.close()
        else:
            self.idle.add(client)

    def sweep(self) -> None:
        """To be called twice a second."""
        for clock in (self.idle, self.reading, self.sending, self.stalled, self.closing, self.lingering):
            clock.sweep()
        now = monotonic()
        for instance, pool in list(self.pools.items()):
            pool.sweep(now)
            if pool.retired and not pool.in_flight and not pool.idle:
                del self.pools[instance]
        self.holding.sweep()
        self.flush()

    def flush(self) -> None:
        """Writes what has gathered of the access log."""
        if self.access_log is not None:
            self.access_log.flush()

    def upstreams(self) -> int:
        """Open connections to instances."""
        return sum(len(pool.idle) + len(pool.in_flight) for pool in self.pools.values())

    def end(self) -> asyncio.Event:
        """The node is ending. The event is set once all that is in flight now is answered."""
        self.ending = True
        self.holding.end()
        for pool in self.pools.values():
            pool.cut()
        for client in list(self.clients):
            if client.waits:
                client.close()
        self._leaving = {client for client in self.clients if not client.waits}
        self._left = asyncio.Event()
        self._leave(None)
        return self._left

    def _leave(self, client: Connection | None) -> None:
        self._leaving.discard(client)
        if not self._leaving:
            # The node may end the router right after this.
            self.flush()
            self._left.set()


def _too_slow(client: Connection) -> None:
    client.too_slow()


def _abort(client: Connection) -> None:
    client.abort_all()
