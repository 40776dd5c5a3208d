"""The listeners of a node: its router's listeners, the control socket, and the door between router and node.

    everybody ──TCP, gateway.sock──► router ──► services
                                        └─ node.sock ──► the node's pages and system APIs
    its owner ──control.sock──► control

The router is a process of its own. It serves the node's pages like those of any service, which is why the
node is in its table too.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketListener

from reconciler.errors import UserError
from reconciler.http.server import bind_tcp, bind_unix, serve_http
from runtimes.loopback import LOOPBACK
from runtimes.processes.ports import NO_ADDRESS
from runtimes.router.decide.table import NODE, SYSTEM, Backend, ServiceRoute
from runtimes.router.remote import RouterProcess

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from reconciler.http.messages import Handler
    from reconciler.port import NodeApi
    from reconciler.state.settings import Settings

CONTROL_SOCKET = "control.sock"
GATEWAY_SOCKET = "gateway.sock"
NODE_SOCKET = "node.sock"
#: Where the daemon brings what comes by tunnels: to the router, and, for pairing, to the node.
TUNNEL_SOCKET, MEETING_SOCKET = "tunnel.sock", "meeting.sock"
#: Before every service's: nobody else can offer the node's own APIs.
_RANK = -1
#: Seconds in which the port of an earlier life of this node becomes free: its router ends a moment after it.
_PORT_PATIENCE = 1.0
_OTHERS_PATIENCE = 0.1
_LOOK_AGAIN = 0.02


@dataclass(frozen=True, slots=True)
class Sockets:
    """All that a node listens on: TCP at both addresses of `localhost`, but for what is `lacking`."""

    tcp: tuple[socket.socket, ...]
    gateway: socket.socket
    control: socket.socket
    node: socket.socket
    lacking: tuple[str, ...] = ()
    tunnel: socket.socket | None = None
    meeting: socket.socket | None = None

    @property
    def port(self) -> int:
        port: int = self.tcp[0].getsockname()[1]
        return port

    def close(self) -> None:
        for each in (*self.tcp, self.gateway, self.control, self.node, self.tunnel, self.meeting):
            if each is not None:
                each.close()


def open_sockets(run: Path, port: int, *, remote: bool = False) -> Sockets:
    """Call it only while holding the home. `remote`: tunnels come here, too. Raises UserError."""
    first, *others = LOOPBACK
    tcp, lacking = [_bind_patiently(first, port, _PORT_PATIENCE)], []
    port = tcp[0].getsockname()[1]
    for address in others:
        try:
            tcp.append(_bind_patiently(address, port, _OTHERS_PATIENCE))
        except UserError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno not in NO_ADDRESS:
                lacking.append(_lacking(address, port, first))
    gateway, control, node = (bind_unix(run / name) for name in (GATEWAY_SOCKET, CONTROL_SOCKET, NODE_SOCKET))
    tunnel, meeting = (bind_unix(run / name) if remote else None for name in (TUNNEL_SOCKET, MEETING_SOCKET))
    return Sockets(tuple(tcp), gateway, control, node, tuple(lacking), tunnel, meeting)


def _lacking(address: str, port: int, first: str) -> str:
    return (
        f"another program has port {port} of {address}, which is localhost too, so some browsers get there: "
        f"open http://{first}:{port}, or choose another --port"
    )


def _bind_patiently(address: str, port: int, patience: float) -> socket.socket:
    deadline = time.monotonic() + patience
    while True:
        try:
            return bind_tcp(address, port)
        except UserError as error:
            cause = error.__cause__
            in_use = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
            if not in_use or time.monotonic() >= deadline:
                raise
        time.sleep(_LOOK_AGAIN)


def make_router(
    sockets: Sockets,
    settings: Settings,
    home: Path,
    tokens: Sequence[str],
    *,
    readers: Sequence[str] = (),
    died: Callable[[str], None],
    tunnel_secret: str = "",
) -> RouterProcess:
    """The router for these sockets, not yet running; `died` hears of one that ended by itself.

    `tokens` are the administrators', `readers` those by which somebody may read how the node does.
    """
    router = settings.router
    start: dict[str, Any] = {
        "domain": settings.domain,
        "run": os.path.dirname(sockets.gateway.getsockname()),
        "adminTokens": list(tokens),
        "readTokens": list(readers),
        "accessLog": str(home / "logs" / "access.log") if router.access_log else "",
        "trustedProxies": list(router.trusted_proxies),
        "limits": {
            "request": router.max_request,
            "answering": router.answer_timeout,
            "holding": router.hold_timeout,
        },
    }
    if sockets.tunnel is not None:
        start["tunnelSecret"] = tunnel_secret
    return RouterProcess((*sockets.tcp, sockets.gateway), start, died, sockets.tunnel)


async def serve(
    node: NodeApi, sockets: Sockets, router: RouterProcess, make_inner: Callable[[], Handler]
) -> None:
    """Serves all listeners until cancelled. Whoever connected before waits in the listeners' queues.

    `make_inner` makes what answers to requests that the router forwards to the node.
    """
    # What answers is imported once the first programs have been started.
    from reconciler.apis.handler import EXPORTS
    from reconciler.serve.control import control

    backend = Backend("node", socket=sockets.node.getsockname(), exports=EXPORTS)
    router.publish({NODE: ServiceRoute(NODE, SYSTEM, rank=_RANK, exports=EXPORTS, backends=(backend,))})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.run)
        tasks.start_soon(_serve, sockets.node, make_inner())
        tasks.start_soon(_serve, sockets.control, control(node))
        if sockets.meeting is not None:
            tasks.start_soon(_meet, node, sockets.meeting)


async def _serve(bound: socket.socket, handler: Handler) -> None:
    from reconciler.serve.control import is_owner

    await serve_http(await SocketListener.from_socket(bound), handler, admit=is_owner)


async def _meet(node: NodeApi, bound: socket.socket) -> None:
    """Who comes here was brought by the daemon, for a pairing."""
    async with await SocketListener.from_socket(bound) as listener:
        await listener.serve(node.remote.greet)
