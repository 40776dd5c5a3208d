"""`<name>.local` on the network: multicast DNS (RFC 6762) and DNS-SD (RFC 6763), by `zeroconf`.

The library knows conflicts of services' names; that of a host is looked for here: whoever answers to it
already, from elsewhere, keeps it, and this node takes `<name>-2.local`. Where both came at the same time, the
lower address keeps it. All of it blocks, and is done in threads; it is imported with the first name.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread

from runtimes.local_addresses import local_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroconf import ServiceInfo, Zeroconf

KIND = "_http._tcp.local."
#: How many names are tried, and how long (milliseconds) it is asked whether somebody has one.
MOST_NAMES, ASKING = 20, 1000
_LONGEST = 63


class Names(Protocol):
    """Who makes a name known; `host` is what it came to be, without a dot at the end."""

    host: str
    problem: str

    async def publish(self, port: int, addresses: Sequence[str], *, tls: bool) -> None:
        """Answers to the name with these addresses from now on. Raises nothing: `problem` says why."""
        ...

    async def close(self) -> None:
        """Says goodbye."""
        ...


class Mdns:
    """Implements `Names`."""

    def __init__(self, name: str) -> None:
        self.host = f"{name}.local"
        self.problem = ""
        self._name = name
        self._zeroconf: Zeroconf | None = None
        self._info: ServiceInfo | None = None
        self._known: tuple[Any, ...] = ()

    async def publish(self, port: int, addresses: Sequence[str], *, tls: bool) -> None:
        """See `Names`."""
        work = partial(self._publish, port, tuple(addresses), tls)
        try:
            await anyio.to_thread.run_sync(work)
        except Exception as error:
            # Whatever goes on among the machines of a network, this one goes on without its name.
            self.problem = f"{self.host} is not known on the network: {error or type(error).__name__}"
            await self.close()

    async def close(self) -> None:
        """See `Names`."""
        zeroconf, self._zeroconf, self._info, self._known = self._zeroconf, None, None, ()
        if zeroconf is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(zeroconf.close)

    # -- in a thread

    def _publish(self, port: int, addresses: tuple[str, ...], tls: bool) -> None:
        from zeroconf import Zeroconf

        interfaces = [each for each in addresses if ":" not in each] or list(addresses)
        if self._zeroconf is None:
            self._zeroconf = Zeroconf(interfaces=interfaces)
        elif self._known and self._known[1] != addresses:
            self._zeroconf.update_interfaces(interfaces)
        host = self._free_name(self._zeroconf, addresses)
        if (port, addresses, tls, host) == self._known:
            return
        info = self._describe(host, port, addresses, tls)
        if self._info is not None and self._info.server == info.server:
            self._zeroconf.update_service(info)
        else:
            if self._info is not None:
                self._zeroconf.unregister_service(self._info)
            self._zeroconf.register_service(info, allow_name_change=True)
        self._info, self._known, self.host = info, (port, addresses, tls, host), host
        wished = f"{self._name}.local"
        taken = f"another machine is {wished} already: this one is {host} (`name` in config.toml)"
        self.problem = "" if host == wished else taken

    def _describe(self, host: str, port: int, addresses: Sequence[str], tls: bool) -> ServiceInfo:
        from zeroconf import ServiceInfo

        label = host.removesuffix(".local")
        properties = {"path": "/", **({"tls": "1"} if tls else {})}
        return ServiceInfo(
            KIND, f"{label}.{KIND}", port,
            properties=properties, server=f"{host}.", parsed_addresses=list(addresses),
        )  # fmt: skip

    def _free_name(self, zeroconf: Zeroconf, addresses: Sequence[str]) -> str:
        for number in range(1, MOST_NAMES + 1):
            end = f"-{number}" if number > 1 else ""
            host = f"{self._name[: _LONGEST - len(end)]}{end}.local"
            if not self._is_taken(zeroconf, host, addresses):
                return host
        raise RuntimeError(f"there are {MOST_NAMES} machines of that name")

    def _is_taken(self, zeroconf: Zeroconf, host: str, addresses: Sequence[str]) -> bool:
        # Exported, but not in the way that type checkers ask for.
        from zeroconf import AddressResolver  # type: ignore[attr-defined]

        resolver = AddressResolver(f"{host}.")
        resolver.request(zeroconf, ASKING)
        here = local_addresses()
        others = [each for each in resolver.parsed_addresses() if each not in here]
        if not others:
            return False
        mine = self._info is not None and self._info.server == f"{host}."
        # Whoever has it keeps it; where both do, the lower one.
        return not mine or min(others) < min(addresses, default="")
