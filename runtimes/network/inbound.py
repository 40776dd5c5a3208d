"""A port of a program in a strict sandbox, as everybody else finds it: at this machine's loopback address.

The program listens in its own network, where nobody is. Once it does (the kernel shows a process's network in
/proc, without entering it), the node listens on the same port outside, and leads each connection to it.
Before that nobody accepts any, so whoever looks whether it is ready is not deceived.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketListener, SocketStream

from runtimes.loopback import LOOPBACK
from runtimes.network.splicing import ENDS, splice

if TYPE_CHECKING:
    from runtimes.network.namespaces import Namespaces

#: Seconds between two looks whether it listens: at first, and at most.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.25
#: Of proc_net_tcp(5).
_LISTENS = "0A"
_BACKLOG = 128


async def lead_in(namespaces: Namespaces, namespace: int, pid: int, port: int) -> None:
    """Until cancelled. `pid` is in the namespace, which `namespace` is a descriptor of."""
    pause = _FIRST_LOOK
    while (outside := _listen(pid, port)) is None:
        await anyio.sleep(pause)
        pause = min(2 * pause, _LAST_LOOK)

    async def lead(client: SocketStream) -> None:
        with suppress(*ENDS):
            async with client, await _connect(namespaces, namespace, port) as server:
                await splice(client, server)

    async with await SocketListener.from_socket(outside) as listener:
        await listener.serve(lead)


def _listen(pid: int, port: int) -> socket.socket | None:
    """None while nobody listens inside, or somebody else has the port outside."""
    if not listens(pid, port):
        return None
    with suppress(OSError):
        return socket.create_server((LOOPBACK[0], port), backlog=_BACKLOG)
    return None


def listens(pid: int, port: int) -> bool:
    """Whether anybody does on that port in the network of a process."""
    return any(_has_listener(f"/proc/{pid}/net/{table}", port) for table in ("tcp", "tcp6"))


def _has_listener(table: str, port: int) -> bool:
    try:
        with open(table) as file:
            lines = [line.split() for line in file][1:]
    except OSError:
        return False
    return any(line[3] == _LISTENS and line[1].endswith(f":{port:04X}") for line in lines)


async def _connect(namespaces: Namespaces, namespace: int, port: int) -> SocketStream:
    """Raises OSError."""
    one, other = LOOPBACK
    try:
        made = await namespaces.dial(namespace, one, port)
    except ConnectionRefusedError:
        made = await namespaces.dial(namespace, other, port)
    return await SocketStream.from_socket(made)
