"""Connections to instances are opened here, and nowhere else in the router."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from typing import TYPE_CHECKING

from runtimes.loopback import addresses
from runtimes.router.carry.pool import Unreachable
from runtimes.router.carry.upstream import UpstreamConnection
from runtimes.unix_sockets import the_socket_at

if TYPE_CHECKING:
    from runtimes.router.carry.pool import Pool

#: Pauses before a connection is tried again whose listener's queue was full, seconds.
_QUEUE_FULL_PAUSES = (0.002, 0.01, 0.05, 0.2, 0.5)
_NO_LISTENER = frozenset({errno.ECONNREFUSED, errno.ENOENT, errno.EAGAIN, errno.ECONNRESET, errno.ETIMEDOUT})


async def connect(pool: Pool) -> UpstreamConnection:
    """Another connection to the pool's instance. Raises Unreachable."""
    try:
        async with asyncio.timeout(pool.limits.connecting):
            return await _open(pool)
    except (OSError, TimeoutError) as error:
        raise Unreachable(_reason(error)) from error


async def _open(pool: Pool) -> UpstreamConnection:
    for pause in _QUEUE_FULL_PAUSES:
        try:
            return await open_once(pool)
        except BlockingIOError:
            await asyncio.sleep(pause)
    return await open_once(pool)


async def open_once(pool: Pool) -> UpstreamConnection:
    """Raises OSError; BlockingIOError where the listener's queue is full."""
    loop, backend = asyncio.get_running_loop(), pool.backend
    if backend.socket is not None:
        with the_socket_at(backend.socket) as path:
            _, upstream = await loop.create_unix_connection(lambda: UpstreamConnection(pool), path)
        return upstream
    first, *others = addresses(backend.host)
    try:
        return await _open_tcp(pool, first)
    except ConnectionRefusedError:
        for address in others:
            with suppress(OSError):
                return await _open_tcp(pool, address)
        raise


async def _open_tcp(pool: Pool, address: str) -> UpstreamConnection:
    loop, port = asyncio.get_running_loop(), pool.backend.port or 0
    _, upstream = await loop.create_connection(lambda: UpstreamConnection(pool), address, port)
    return upstream


def _reason(error: OSError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return "it did not accept a connection in time"
    return "nothing listens there" if error.errno in _NO_LISTENER else f"{error.strerror or error}"
