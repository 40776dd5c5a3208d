"""From a rule to a connection: the name is resolved here, each address judged, and that very one dialled.

Several addresses are tried as in Happy Eyeballs (RFC 8305): the families in turn, the next one a moment after
the one before, the first that answers wins.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import anyio

from runtimes.loopback import LOOPBACK
from runtimes.network.addresses import objection
from runtimes.network.rules import is_loopback_name, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anyio.abc import SocketStream

    from runtimes.network.rules import Address, Rule

#: Seconds for a name, and for a connection.
RESOLVING, CONNECTING = 15.0, 30.0
#: Seconds between two attempts (RFC 8305, 8), and how many there are.
_STAGGER, _MOST_ATTEMPTS = 0.25, 6


class Refused(Exception):
    """Every address that the name stands for is one that may not be dialled."""


async def dial(rule: Rule, host: str) -> SocketStream:
    """A connection to a host that `rule` allows. Raises Refused, or OSError where nobody answers."""
    with anyio.fail_after(RESOLVING):
        found = await _addresses(host, rule.port)
    allowed, objections = [], []
    for address in found:
        if why := objection(address, source_for(address), rule):
            objections.append(f"{address}, {why}")
        else:
            allowed.append(address)
    if not allowed:
        raise Refused(f"is {'; '.join(objections)}")
    with anyio.fail_after(CONNECTING):
        return await _first_of(in_turn(allowed)[:_MOST_ATTEMPTS], rule.port)


async def _addresses(host: str, port: int) -> list[Address]:
    """Raises OSError (`socket.gaierror`) where there are none."""
    if (address := literal(host)) is not None:
        return [address]
    if is_loopback_name(host):
        return [address for text in LOOPBACK if (address := literal(text))]
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(where[0]) for *_, where in found)
    # One with a zone (fe80::1%eth0) is none that could be judged.
    return [address for text in texts if (address := literal(text)) is not None]


def source_for(address: Address) -> Address | None:
    """From where this machine would dial it. The kernel says so of a datagram that is never sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((str(address), 9))
        return literal(str(asking.getsockname()[0]))
    return None


def in_turn(addresses: Sequence[Address]) -> list[Address]:
    """Both families by turns, the one of the first address first."""
    first = [each for each in addresses if each.version == addresses[0].version]
    other = [each for each in addresses if each.version != addresses[0].version]
    return [each for each in chain(*zip_longest(first, other)) if each is not None]


async def _first_of(addresses: Iterable[Address], port: int) -> SocketStream:
    won: list[SocketStream] = []
    errors: list[OSError] = []

    async def attempt(address: Address, over: anyio.Event) -> None:
        try:
            stream = await anyio.connect_tcp(str(address), port)
        except OSError as error:
            errors.append(error)
        else:
            if won:
                await stream.aclose()
            won.append(stream)
            tasks.cancel_scope.cancel()
        over.set()

    async with anyio.create_task_group() as tasks:
        for address in addresses:
            over = anyio.Event()
            tasks.start_soon(attempt, address, over)
            with anyio.move_on_after(_STAGGER):
                await over.wait()
    if not won:
        raise errors[0] if errors else OSError("nobody answers")
    return won[0]
