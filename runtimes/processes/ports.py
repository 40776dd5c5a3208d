"""TCP ports of this machine: finding a free one, and saying who has one that is not."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from runtimes.base import RuntimeFailure
from runtimes.loopback import LOOPBACK
from runtimes.processes.proc import pids

_LISTEN = "0A"
#: A machine without IPv6.
NO_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def free_port() -> int:
    """A port that nothing listens on now; the kernel does not give it out again soon."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK[0], 0))
            port: int = probe.getsockname()[1]
        with suppress(OSError):
            _try_all(port)
            return port


def is_free(port: int) -> bool:
    """Whether a program could have it now."""
    try:
        require_free(port)
    except RuntimeFailure:
        return False
    return True


def require_free(port: int) -> None:
    """Raises RuntimeFailure, naming the holder where that can be seen, when the port is taken."""
    try:
        _try_all(port)
    except PermissionError as error:
        raise RuntimeFailure(
            "PortForbidden", f"port {port} needs root's rights", hint="choose one above 1023"
        ) from error
    except OSError as error:
        raise RuntimeFailure(
            "PortInUse",
            f"port {port} is in use{_by_whom(port)}",
            hint="stop that program, or choose another port:",
        ) from error


def _try_all(port: int) -> None:
    """Raises OSError when somebody has the port at either address: it would be taken for who wants it."""
    for address in LOOPBACK:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno not in NO_ADDRESS:
                raise


def _by_whom(port: int) -> str:
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    for pid in pids() if sockets else ():
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{name}") in sockets:
                        with open(f"/proc/{pid}/comm") as file:
                            return f" by {file.read().strip()} (pid {pid})"
    return ""


def _listeners(port: int) -> list[str]:
    """Inodes of the sockets that listen on the port, by proc_net_tcp(5)."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table) as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    found.append(fields[9])
    return found
