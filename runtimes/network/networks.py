"""The networks of a node's strict sandboxes: opened with each, closed with it, opened again at its adoption.

A sandbox is there before it has a network, and its program waits for that: `open` is called in between. All
that is served here is cut when the node dies; the next one, which knows the process of the sandbox, makes the
same once more.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from runtimes.loopback import LOOPBACK
from runtimes.network.inbound import lead_in
from runtimes.network.inside import NAMES_PORT, PROXY_PORT, SERVICES, layout
from runtimes.network.namespaces import Namespaces, open_network
from runtimes.network.rules import Rules, is_this_machine, rules_of
from runtimes.network.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from anyio.abc import TaskGroup

    from runtimes.network.inside import Inside
    from runtimes.network.rules import Refusal

_BACKLOG = 128
#: Names that a wildcard stands for, of one sandbox, and the first of their addresses inside.
_MOST_NAMES, _FIRST_NAME = 1024, ip_address("127.84.0.1")


class Gateway(Protocol):
    """Who serves the gateway to an instance alone."""

    def open_door(self, instance: str, token: str, listeners: Sequence[socket.socket]) -> None:
        """Takes them over: who comes there without a token is that instance."""
        ...

    def close_door(self, instance: str) -> None: ...


class NoGateway:
    """For a node that routes nothing."""

    def open_door(self, instance: str, token: str, listeners: Sequence[socket.socket]) -> None:
        for each in listeners:
            each.close()

    def close_door(self, instance: str) -> None: ...


@dataclass(eq=False)
class Network:
    """Of one sandbox. `tasks` is what serves it, once that began."""

    namespace: int
    rules: Rules
    inside: Inside
    refused: Callable[[Refusal], None]
    namespaces: Namespaces
    names: dict[str, str] = field(default_factory=dict)
    served: list[tuple[Callable[..., Coroutine[Any, Any, None]], socket.socket, tuple[object, ...]]] = field(
        default_factory=list
    )
    #: Its first process, and the port that the program listens on in there, if any.
    pid: int = 0
    port: int | None = None
    tasks: TaskGroup | None = None
    closed: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.serving = Serving(self.rules, self.refused, self.address_of)

    def serve(
        self, function: Callable[..., Coroutine[Any, Any, None]], listener: socket.socket, *args: object
    ) -> None:
        """Beside everything else that is served, from now on or from `run` on."""
        self.served.append((function, listener, args))
        if self.tasks is not None:
            self.tasks.start_soon(function, listener.dup(), *args)

    async def run(self) -> None:
        """Serves until it is closed. Whoever serves closes what it was given; it may run once more."""
        async with anyio.create_task_group() as tasks:
            self.tasks = tasks
            for function, listener, args in self.served:
                tasks.start_soon(function, listener.dup(), *args)
            if self.port is not None:
                tasks.start_soon(lead_in, self.namespaces, self.namespace, self.pid, self.port)
            await self.closed.wait()
            tasks.cancel_scope.cancel()

    def close(self) -> None:
        self.closed.set()
        for _, listener, _ in self.served:
            listener.close()
        with suppress(OSError):
            os.close(self.namespace)

    async def address_of(self, host: str) -> str:
        """Where a host is inside. One that a wildcard stands for gets a place when it is first asked for."""
        if address := self.inside.address_of(host) or self.names.get(host, ""):
            return address
        rules = [rule for rule in self.rules.rules if rule.matches(host, rule.port)]
        if not rules or len(self.names) >= _MOST_NAMES:
            return ""
        address = self.names[host] = str(_FIRST_NAME + len(self.names))
        try:
            made = await self.namespaces.listen(
                self.namespace, [("tcp", address, rule.port) for rule in rules]
            )
        except OSError:
            # It has just ended.
            return ""
        for rule, listener in zip(rules, made, strict=True):
            if not isinstance(listener, OSError):
                self.serve(self.serving.serve_host, listener, rule, host)
        return address


class Networks:
    """All of them. `port` is the node's own; `refused` hears of each refusal, and whose it is."""

    def __init__(self, port: int, refused: Callable[[str, Refusal], None] = lambda *_: None) -> None:
        self.port = port
        self.gateway: Gateway = NoGateway()
        self.refused = refused
        self._namespaces = Namespaces()
        self._networks: dict[str, Network] = {}
        self._new: list[Network] = []
        self._more = anyio.Event()

    async def run(self) -> None:
        """Serves until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._new = list(self._networks.values())
            while True:
                new, self._new = self._new, []
                for network in new:
                    tasks.start_soon(network.run)
                self._more = anyio.Event()
                await self._more.wait()

    async def open(
        self, instance: str, service_id: str, pid: int, token: str, destinations: Sequence[str], door: Path,
        port: int | None = None,
    ) -> None:  # fmt: skip
        """The network of an instance whose sandbox process `pid` is in. Raises OSError; then there is none.

        `door`: where the gateway listens for this instance alone, by a Unix socket in a folder of its own.
        `port`: where the program listens unless on its socket.
        """
        self.close(instance)
        refused = partial(self._tell, service_id)
        with ExitStack() as mine:
            unix = mine.enter_context(_listen_at(door))
            rules = rules_of(destinations)
            gateway = await self._open(instance, pid, rules, refused, LOOPBACK, port)
            mine.pop_all()
        self.gateway.open_door(instance, token, [unix, *gateway])

    async def open_for_tools(
        self, name: str, pid: int, rules: Rules, refused: Callable[[Refusal], None]
    ) -> None:
        """The same for tools that fetch and build: nobody has a gateway there. Raises OSError."""
        await self._open(name, pid, rules, refused, ())

    def _tell(self, service_id: str, refusal: Refusal) -> None:
        # Not bound when a network is opened: who hears of it may be known later.
        self.refused(service_id, refusal)

    async def _open(
        self,
        name: str,
        pid: int,
        rules: Rules,
        refused: Callable[[Refusal], None],
        gateway: Sequence[str],
        port: int | None = None,
    ) -> list[socket.socket]:
        """Returns the gateway's listeners, at these addresses."""
        # Nobody gets to the gateway but by his own door, where it is known who he is.
        others = (rule for rule in rules.rules if rule.port != self.port or not is_this_machine(rule.host))
        rules = Rules(tuple(others))
        namespace = open_network(pid)
        network = Network(namespace, rules, layout(rules), refused, self._namespaces, pid=pid, port=port)
        try:
            listening = await self._listen(network, gateway)
        except BaseException:
            network.close()
            raise
        self._networks[name] = network
        self._new.append(network)
        self._more.set()
        return listening

    async def _listen(self, network: Network, gateway: Sequence[str]) -> list[socket.socket]:
        serving, inside = network.serving, network.inside
        hosts = [place for place in inside.places if place.port != self.port or place.address not in gateway]
        wanted = [
            *(("tcp", address, self.port) for address in gateway),
            ("tcp", SERVICES, PROXY_PORT), ("udp", SERVICES, NAMES_PORT),
            *(("tcp", place.address, place.port) for place in hosts),
        ]  # fmt: skip
        made = await self._namespaces.listen(network.namespace, wanted, inside.addresses)
        own, (proxy, names, *others) = made[: len(gateway)], made[len(gateway) :]
        if own and isinstance(own[0], OSError):
            for each in made:
                if not isinstance(each, OSError):
                    each.close()
            raise own[0]
        if not isinstance(proxy, OSError):
            network.serve(serving.serve_proxy, proxy)
        if not isinstance(names, OSError):
            network.serve(serving.serve_names, names)
        for place, listener in zip(hosts, others, strict=True):
            if not isinstance(listener, OSError):
                network.serve(serving.serve_host, listener, place.rule)
        return [each for each in own if not isinstance(each, OSError)]

    def close(self, instance: str) -> None:
        """The instance has ended; one without a network is no error."""
        network = self._networks.pop(instance, None)
        if network is not None:
            self.gateway.close_door(instance)
            network.close()

    def close_all(self) -> None:
        """The node ends, or lets go of what runs."""
        for instance in list(self._networks):
            self.close(instance)
        self._namespaces.close()


def _listen_at(door: Path) -> socket.socket:
    """What an earlier life of the node left there is replaced. Raises OSError."""
    door.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(door))
        # Who gets into the folder is the instance.
        door.chmod(0o666)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
