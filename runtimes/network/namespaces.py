"""Sockets inside the network namespace of another process: `namespace_helper` makes them, and they come here.

The helper is started when the first is wanted, and again where it ended. Who is in a namespace is named by
the descriptor of it that this process opened, never by a number that could be another's meanwhile.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds that the helper may take.
_DEADLINE = 10.0
_LONGEST = 65536
#: The kernel passes no more than this many descriptors at once (SCM_MAX_FD).
_MOST = 250
_HELPER = Path(__file__).with_name("namespace_helper.py")


class Namespaces:
    """The helper of this process."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None

    @property
    def pid(self) -> int:
        """The helper's process; 0 where there is none."""
        return self._process.pid if self._process is not None else 0

    async def listen(
        self, namespace: int, wanted: Sequence[tuple[str, str, int]], addresses: Sequence[str] = ()
    ) -> list[socket.socket | OSError]:
        """A socket for each that is wanted (`tcp` or `udp`, address, port), or why there is none.

        `namespace`: a descriptor of a network namespace. `addresses` are added to its loopback interface
        first. Raises OSError where nobody can get in.
        """
        made: list[socket.socket | OSError] = []
        lines = [f"add {address}" for address in addresses]
        for first in range(0, len(wanted), _MOST):
            part = wanted[first : first + _MOST]
            lines += [f"{kind} {address} {port}" for kind, address, port in part]
            made += await self._ask_patiently(namespace, lines, len(part))
            lines = []
        return made

    async def dial(self, namespace: int, address: str, port: int) -> socket.socket:
        """A socket that is connected in there. Raises OSError."""
        (made,) = await self._ask_patiently(namespace, [f"dial {address} {port}"], 1)
        if isinstance(made, OSError):
            raise made
        return made

    async def _ask_patiently(
        self, namespace: int, lines: list[str], expected: int
    ) -> list[socket.socket | OSError]:
        """Somebody may have ended the helper, between two requests or during this one."""
        async with self._lock:
            try:
                return await self._ask(namespace, lines, expected)
            except (ConnectionError, TimeoutError):
                self.close()
                return await self._ask(namespace, lines, expected)

    async def _ask(self, namespace: int, lines: list[str], expected: int) -> list[socket.socket | OSError]:
        link = self._link or self._start()
        try:
            with anyio.fail_after(_DEADLINE):
                await anyio.wait_writable(link)
                socket.send_fds(link, ["\n".join(lines).encode()], [namespace])
                await anyio.wait_readable(link)
                answer, made = receive_sockets(link, _LONGEST, _MOST)
        except BaseException:
            # Its answer would be taken for that to the next request.
            self.close()
            raise
        said = answer.decode().splitlines()
        if not said:
            raise ConnectionResetError(errno.ECONNRESET, "the helper of this node ended")
        if len(said) != expected:
            raise _error(said[0])
        sockets = iter(made)
        return [next(sockets) if line == "ok" else _error(line) for line in said]

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            line = [sys.executable, "-I", "-S", os.fspath(_HELPER), str(theirs.fileno())]
            self._process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self._link = ours
        return ours

    def close(self) -> None:
        """Ends the helper, if there is one; another request starts another."""
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._link = self._process = None


def receive_sockets(link: socket.socket, longest: int, most: int) -> tuple[bytes, list[socket.socket]]:
    """A packet, and the sockets that come with it, which no program inherits. Raises OSError.

    `socket.recv_fds` does not pass its flags on; what is started between it and a later change inherits them.
    """
    size = struct.calcsize("i")
    space = socket.CMSG_SPACE(most * size)
    packet, ancillary, _, _ = link.recvmsg(longest, space, socket.MSG_CMSG_CLOEXEC)
    sockets = [
        socket.socket(fileno=descriptor)
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (descriptor,) in struct.iter_unpack("i", data[: len(data) - len(data) % size])
    ]
    return packet, sockets


def _error(line: str) -> OSError:
    number = int(line)
    return OSError(number, os.strerror(number))


def open_network(pid: int) -> int:
    """A descriptor of a process's network namespace. Raises OSError, also where that is our own."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.path.samestat(os.fstat(namespace), os.stat("/proc/self/ns/net")):
        os.close(namespace)
        raise OSError(errno.EINVAL, "it has no network of its own")
    return namespace
