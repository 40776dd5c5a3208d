"""Whose process is at the other end of a connection, as the kernel knows it.

Programs that this node started lead sessions of their own, so the session's id tells the service. Only
connections within this machine have another end that can be found.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from runtimes.processes.proc import pids, read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

# struct ucred of unix(7): pid, uid, gid.
_CREDENTIALS = struct.Struct("iII")
_ESTABLISHED = "01"


def session_of(connection: socket.socket, sessions: Set[int]) -> int | None:
    """The one of `sessions` (ids of session leaders) whose process holds the other end; None if none does."""
    try:
        if connection.family == socket.AF_UNIX:
            return _known(_peer_process(connection), sessions)
        inode = _inode_of_peer(connection)
        return None if inode is None else _holder(f"socket:[{inode}]", sessions)
    except OSError:
        return None


def is_local(connection: socket.socket) -> bool:
    """Whether the other end may be on this machine: what else comes from an address of it?"""
    if connection.family == socket.AF_UNIX:
        return True
    try:
        theirs = str(connection.getpeername()[0])
    except OSError:
        # It has left.
        return False
    return theirs.startswith("127.") or theirs == connection.getsockname()[0]


def _peer_process(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(raw)[0]
    return pid


def _known(pid: int, sessions: Set[int]) -> int | None:
    stat = read_stat(pid)
    return stat.session if stat is not None and stat.session in sessions else None


def _inode_of_peer(connection: socket.socket) -> int | None:
    """By proc_net_tcp(5): the peer's socket has our addresses the other way round."""
    ours, theirs = connection.getsockname(), connection.getpeername()
    wanted = (_hexadecimal(connection.family, theirs), _hexadecimal(connection.family, ours), _ESTABLISHED)
    table = "/proc/net/tcp" if connection.family == socket.AF_INET else "/proc/net/tcp6"
    with open(table) as file:
        next(file)
        for line in file:
            fields = line.split()
            if (fields[1], fields[2], fields[3]) == wanted:
                return int(fields[9])
    return None


def _hexadecimal(family: int, address: tuple[str, int]) -> str:
    """As the kernel prints it: 32-bit words in the machine's byte order, then the port."""
    packed = socket.inet_pton(family, address[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def _holder(link: str, sessions: Set[int]) -> int | None:
    for pid in pids():
        session = _known(pid, sessions)
        if session is not None and link in _descriptors(pid):
            return session
    return None


def _descriptors(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:
            continue
