"""Opens what is wanted on the network, and closes what is not any more: level-triggered, like all here.

It looks again when people, addresses or a service's port change, and now and then where time matters: files
of certificates, a leaf's end, a port that another program had. Without `listen` and services' ports it
sleeps.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from reconciler.decide.conditions import Condition
from reconciler.drive.status import plain
from reconciler.lan.sockets import listen, tell_of_addresses, why_not
from reconciler.lan.wanted import CONDITION, Port, Situation, Wanted, wanted
from runtimes.local_addresses import local_addresses

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from reconciler.drive.events import EventLog
    from reconciler.lan.certificates import Certificates, Shown
    from reconciler.lan.mdns import Names
    from reconciler.lan.wanted import Listener
    from reconciler.state.listening import Place

#: Seconds between two looks where something may change by itself: what failed or is a file, and all else.
SOON, SELDOM = 5.0, 60.0


class NetworkRouter(Protocol):
    """The router, as far as the network reaches it; `RouterProcess` is the real one."""

    when_private: Callable[[], None]

    @property
    def private(self) -> bool: ...

    def open_to_network(
        self,
        name: str,
        listeners: Sequence[socket.socket],
        *,
        hosts: Sequence[str],
        service: str,
        tls: bool,
        after_people: bool = True,
        home: int = 0,
    ) -> None: ...

    def close_door(self, name: str) -> None: ...

    def show_certificate(self, pem: str, authority: str = "") -> None: ...


class Host(Protocol):
    """The node, as its network sees it."""

    @property
    def events(self) -> EventLog: ...

    def lan_ports(self) -> frozenset[Port]:
        """What services wish for."""
        ...

    def listening(self, heard: Callable[[str], None]) -> AbstractContextManager[None]: ...


class Keeper:
    """Implements `reconciler.port.Lan`. `port` is the node's own."""

    def __init__(
        self,
        router: NetworkRouter,
        *,
        name: str,
        domain: str,
        port: int,
        listen: Sequence[Place] = (),
        certificates: Certificates | None = None,
        names: Names | None = None,
        addresses: Callable[[], Sequence[str]] = lambda: local_addresses().reachable,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._router = router
        self._name = name
        self._domain = domain
        self._port = port
        self._listen = tuple(listen)
        self._certificates = certificates
        self._names = names
        self._addresses = addresses
        self._wall = wall
        self._wake = anyio.Event()
        self._ports: frozenset[Port] = frozenset()
        self._wanted = Wanted(frozenset())
        self._open: dict[Listener, socket.socket] = {}
        self._failed: dict[Listener, str] = {}
        #: Under which name the listeners were opened.
        self._shown_host = ""
        self._shown: Shown | None = None
        self._since: dict[str, tuple[Condition, float]] = {}

    # -- reconciler.port.Lan

    async def run(self, node: Host) -> None:
        """Until cancelled."""
        self._router.when_private = self._look_again
        try:
            with node.listening(lambda _: self._heard(node)):
                async with anyio.create_task_group() as tasks:
                    if self._listen:
                        tasks.start_soon(self._hear_of_addresses)
                    while True:
                        self._wake = anyio.Event()
                        await self._look(node)
                        with anyio.move_on_after(self._pause()):
                            await self._wake.wait()
        finally:
            for listener in list(self._open):
                self._close(listener)
            if self._names is not None:
                await self._names.close()

    def problems(self) -> list[str]:
        """What a person should know of the node itself."""
        own = [why for listener, why in sorted(self._failed.items()) if not listener.service]
        told = [
            self._wanted.problem,
            self._certificates.problem if self._certificates and self._router.private else "",
            self._names.problem if self._names else "",
        ]
        return [*filter(None, told), *own]

    def conditions(self, service_id: str) -> list[dict[str, Any]]:
        """Of a service's own port: nothing where it is as its manifest says."""
        condition = self._wanted.refused.get(service_id) or self._unopened(service_id)
        if condition is None:
            self._since.pop(service_id, None)
            return []
        if (known := self._since.get(service_id)) is None or known[0] != condition:
            known = self._since[service_id] = condition, self._wall()
        return [plain(*known)]

    def addresses(self, service_id: str) -> list[str]:
        """URLs of a service's own port, the one for a browser of another machine first."""
        mine = [each for each in self._open if each.service == service_id and each.service]
        if any(each.network for each in mine):
            scheme = "https" if any(each.tls for each in mine) else "http"
            return [f"{scheme}://{self._host}:{mine[0].port}/"]
        return [f"http://localhost:{each.port}/" for each in mine[:1]]

    def urls(self) -> list[str]:
        """Of the node itself, for other machines; the one for people first."""
        opened = sorted(each for each in self._open if each.network and not each.service)
        return [
            f"{'https' if each.tls else 'http'}://{place}"
            for each in opened[:1]
            for place in dict.fromkeys([f"{self._host}:{each.port}", *(other.place for other in opened)])
        ]

    # -- when to look

    def _look_again(self) -> None:
        self._wake.set()

    def _heard(self, node: Host) -> None:
        if node.lan_ports() != self._ports:
            self._look_again()

    async def _hear_of_addresses(self) -> None:
        with suppress(OSError):
            await tell_of_addresses(self._look_again)

    def _pause(self) -> float:
        """Seconds until it looks again anyway."""
        if self._failed or (self._listen and self._router.private):
            return SOON if self._failed or self._certificates else SELDOM
        return float("inf")

    # -- what there is to do

    async def _look(self, node: Host) -> None:
        self._ports = node.lan_ports()
        people = self._router.private
        addresses = tuple(self._addresses()) if self._listen and people else ()
        now = Situation(
            port=self._port,
            listen=self._listen,
            people=people,
            tls=self._certificates is not None,
            addresses=addresses,
            ports=self._ports,
        )
        self._wanted = wanted(now)
        self._settle(node)
        if not any(each.network for each in self._open):
            return
        await self._certify(addresses)
        await self._make_known(addresses)
        if self._host != self._shown_host:
            # Everybody is told under which name this is; nobody who waits in a queue notices.
            for listener in self._open:
                self._show(listener)
            await self._certify(addresses)

    def _settle(self, node: Host) -> None:
        listeners = self._wanted.listeners
        for listener in [each for each in self._open if each not in listeners]:
            self._close(listener)
        failed = {}
        for listener in sorted(listeners - self._open.keys()):
            try:
                bound = listen(listener)
            except OSError as error:
                failed[listener] = why_not(listener, error)
                if self._failed.get(listener) != failed[listener]:
                    node.events.emit(listener.service, "NotListening", failed[listener], warning=True)
                continue
            self._open[listener] = bound
            self._show(listener)
            node.events.emit(listener.service, "Listening", f"{listener.place} is open")
        self._failed = failed

    def _close(self, listener: Listener) -> None:
        self._open.pop(listener).close()
        self._router.close_door(_door(listener))

    def _show(self, listener: Listener) -> None:
        """The router has a descriptor of its own; this one stays for the time after it."""
        self._shown_host = self._host
        self._router.open_to_network(
            _door(listener), [self._open[listener].dup()], hosts=(self._host,), service=listener.service,
            tls=listener.tls, after_people=listener.network, home=self._home(listener),
        )  # fmt: skip

    def _home(self, listener: Listener) -> int:
        """The node's port for whoever gets to that one: others reach only what is open to the network."""
        if not listener.network:
            return self._port
        own = sorted(each.port for each in self._wanted.listeners if each.network and not each.service)
        return own[0] if own else 0

    async def _certify(self, addresses: Sequence[str]) -> None:
        if self._certificates is None:
            return
        domain = [self._domain, f"*.{self._domain}"] if self._domain != "localhost" else []
        shown = await self._certificates.look([self._host, *domain], addresses, self._wall())
        if shown is not None and shown != self._shown:
            self._shown = shown
            self._router.show_certificate(shown.pem, shown.authority)

    async def _make_known(self, addresses: Sequence[str]) -> None:
        ports = sorted(each.port for each in self._open if each.network and not each.service)
        if self._names is not None and ports:
            await self._names.publish(ports[0], addresses, tls=self._certificates is not None)

    @property
    def _host(self) -> str:
        return self._names.host if self._names is not None else f"{self._name}.local"

    def _unopened(self, service_id: str) -> Condition | None:
        why = [why for listener, why in sorted(self._failed.items()) if listener.service == service_id]
        return Condition(CONDITION, "False", "PortInUse", "; ".join(why)) if why and service_id else None


def _door(listener: Listener) -> str:
    return f"network {listener.place} {listener.service}"
