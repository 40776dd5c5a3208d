"""What the kernel has of the network: listeners, and word of addresses that come and go (rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.lan.wanted import Listener

_BACKLOG = 4096
# Groups of rtnetlink: addresses of IPv4, and of IPv6 (linux/rtnetlink.h).
_ADDRESSES = 0x10 | 0x100
_SAYS = {
    errno.EADDRINUSE: "another program has it",
    errno.EACCES: "ports below 1024 belong to root",
    errno.EADDRNOTAVAIL: "this machine does not have the address at the moment",
}


def listen(listener: Listener) -> socket.socket:
    """Raises OSError."""
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listener.address, listener.port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def why_not(listener: Listener, error: OSError) -> str:
    """In words."""
    return f"{listener.place} cannot be opened: {_SAYS.get(error.errno or 0) or error.strerror or error}"


async def tell_of_addresses(changed: Callable[[], None]) -> None:
    """Calls it whenever one came or went, until cancelled. Raises OSError where the kernel does not tell."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    ) as told:
        told.bind((0, _ADDRESSES))
        while True:
            await anyio.wait_readable(told)
            # What was lost meanwhile (ENOBUFS) is no matter: it is only a reason to look.
            with suppress(OSError):
                told.recv(65536)
            changed()
