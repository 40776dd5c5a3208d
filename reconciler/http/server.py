"""A small HTTP/1.1 server for the node's own few pages: health, metrics and the control socket.

It takes listeners and a handler, and keeps going whatever arrives: limits on heads, bodies, time and the
number of connections are here and in `connection`, which speaks the protocol (h11) and is imported when
the first connection comes, so that a node nobody asks anything never pays for it.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import TYPE_CHECKING

import anyio

from reconciler.errors import UserError
from reconciler.http.messages import Admit, Handler, Limits
from reconciler.http.places import Places

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import SocketListener, SocketStream

_log = logging.getLogger(__name__)

# The process or the system has no descriptor or memory left for one more connection just now.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_PAUSE = 0.1
# accept() passes on what happened to a connection before anyone took it.
_NETWORK_TROUBLE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})
_BACKLOG = 4096


async def serve_http(
    listener: SocketListener, handler: Handler, *, limits: Limits | None = None, admit: Admit | None = None
) -> None:
    """Answers until cancelled, then closes the listener and every connection.

    A connection that `admit` turns away is closed without a word; one that there is no room for, after a 503.
    """
    server = _Server(handler, limits or Limits(), admit)
    async with listener, anyio.create_task_group() as group:
        while True:
            stream = await _accept(listener)
            group.start_soon(server.take, stream)


def bind_tcp(host: str, port: int) -> socket.socket:
    """Listens on a numeric address; port 0 picks one. Raises UserError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise _port_error(host, port, error) from error
    return bound


def bind_unix(path: Path) -> socket.socket:
    """Listens on a socket that only its owner may connect to, in place of what is left of an older one.

    Call it only while holding the home: a socket in use would be replaced too. Raises UserError.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.unlink(missing_ok=True)
        # On Linux the mode of an unbound socket is that of the file bind() makes: never open to others.
        os.fchmod(bound.fileno(), 0o600)
        bound.bind(os.fspath(path))
        path.chmod(0o600)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        message = f"the socket {path} cannot be made: {error.strerror or error}"
        raise UserError(message, hint="choose a home with a shorter path, on a local file system") from error
    return bound


def _port_error(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        hint = "another program, or a node with another home, has it: choose one with --port"
        return UserError(f"port {port} is in use", hint=hint)
    if error.errno == errno.EACCES:
        return UserError(f"port {port} may not be used", hint="ports below 1024 belong to root")
    return UserError(
        f"cannot listen on {host}:{port}: {error.strerror or error}", hint="choose another --port"
    )


async def _accept(listener: SocketListener) -> SocketStream:
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED | _NETWORK_TROUBLE:
                raise
            _log.warning("a connection could not be accepted: %s", error)
            await anyio.sleep(_EXHAUSTED_PAUSE)


class _Server:
    """Takes connections, as many as there are places."""

    def __init__(self, handler: Handler, limits: Limits, admit: Admit | None) -> None:
        self._handler = handler
        self._limits = limits
        self._admit = admit
        self._places = Places(limits.connections, limits.grace_seconds)

    async def take(self, stream: SocketStream) -> None:
        """Never raises: whatever a client does, the others are served on."""
        try:
            async with stream:
                await self._serve(stream)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        except Exception:
            _log.exception("a connection ended in an unexpected way")

    async def _serve(self, stream: SocketStream) -> None:
        from reconciler.http.connection import BUSY, converse

        if self._admit is not None and not self._admit(stream):
            return
        place = self._places.enter(stream)
        if place is None:
            with anyio.move_on_after(1):
                await stream.send(BUSY)
            return
        try:
            await converse(stream, self._handler, self._limits, place)
        finally:
            place.leave()
