"""The node as a container sees it: its gateway's socket in a folder, and `http://localhost:$ATEK_HOST_PORT`.

The folder holds a hard link to the gateway's socket. A socket that is mounted by itself would be a dead file
after the next start of the node; a folder shows the new one.

For programs that know only the port, the node listens on it *inside* of the container's network namespace,
on its loopback address, and hands each connection to the same socket. A socket belongs to the namespace it
was made in, whoever holds it; so no forwarder has to run in the container, whose image may have no programs
at all, and the container needs no network for it. Making it takes root's rights: without them programs use
the socket, and a note among what is not enforced says so. What a node made is gone after kill -9; its next
life listens there again when it adopts the container.
"""

from __future__ import annotations

import ctypes
import math
import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import SocketListener

from runtimes.network.splicing import splice

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import SocketStream

#: The gateway's socket in the node's run directory, and the folder that containers see.
GATEWAY_SOCKET, GATEWAY_FOLDER = "gateway.sock", "gateway"
UNREACHABLE = (
    "http://localhost:$ATEK_HOST_PORT leads nowhere, because the node is not root: use $ATEK_HOST_SOCKET"
)
_CLONE_NEWNET = 0x40000000
_BACKLOG = 128


def share_gateway(run: Path) -> Path:
    """The folder for containers, with the gateway's present socket in it, if there is one. Raises OSError."""
    folder = run / GATEWAY_FOLDER
    folder.mkdir(mode=0o755, exist_ok=True)
    own, shared = run / GATEWAY_SOCKET, folder / GATEWAY_SOCKET
    if not own.exists() or (shared.exists() and shared.samefile(own)):
        return folder
    new = folder / ".new"
    new.unlink(missing_ok=True)
    os.link(own, new)
    # Whoever may look into the run directory may connect, and callers are known by their tokens.
    new.chmod(0o666)
    new.rename(shared)
    return folder


def may_enter() -> bool:
    """Whether this process may make sockets in a container's network namespace."""
    return os.geteuid() == 0


def listen_inside(pid: int, port: int) -> socket.socket:
    """A socket that listens on the loopback address of that process's network. Raises OSError."""
    made: list[socket.socket | OSError] = []

    def enter() -> None:
        # Namespaces are per thread; this one ends with what it entered.
        try:
            made.append(_enter_and_listen(pid, port))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    thread.join()
    (result,) = made
    if isinstance(result, OSError):
        raise result
    return result


def _enter_and_listen(pid: int, port: int) -> socket.socket:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


async def reach_from_inside(pid: int, port: int, gateway: str, *, until: anyio.Event) -> None:
    """Whoever is in that process's network reaches the gateway at the port, until the event."""
    try:
        listener = listen_inside(pid, port)
    except OSError:
        # It has ended already, or listens on that port itself.
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(relay, listener, gateway)
        await until.wait()
        tasks.cancel_scope.cancel()


async def relay(bound: socket.socket, gateway: str) -> None:
    """Hands each connection to the gateway, until cancelled."""

    async def serve(client: SocketStream) -> None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with client, await anyio.connect_unix(gateway) as server:
                await splice(client, server, idle=math.inf)

    async with await SocketListener.from_socket(bound) as listener:
        await listener.serve(serve)
