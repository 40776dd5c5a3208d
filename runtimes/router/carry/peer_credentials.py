"""Whose process is at the other end of a connection, as the kernel knows it.

Programs that this node started lead sessions of their own, so the session's id tells the instance. Who leaves
his session keeps his parents: they lead to the instance, or to the node itself, and then it is an instance's,
whichever. Only connections within this machine have another end that can be found.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtimes.local_addresses import local_addresses
from runtimes.processes.marks import is_of_node, seal_of
from runtimes.processes.proc import pids, read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set

# struct ucred of unix(7): pid, uid, gid.
_CREDENTIALS = struct.Struct("iII")
#: A process of this node of which nobody knows which instance's it is.
UNKNOWN = -1
#: Times that a parent may end while one looks for the parent's parent.
_PARENTS_LOST = 3
#: Who held the other end of connections lately, and may hold that of the next: only an order to look in.
_lately: deque[int] = deque(maxlen=8)


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """The node that this router is of: its process, and its run directory, which no other has.

    `groups`: by what stands in the names of its instances' cgroups, the processes that they began as.
    """

    pid: int = 0
    run: str = ""
    groups: Mapping[str, int] = field(default_factory=dict)


NO_NODE = NodeProcess()


def leader_of(connection: socket.socket, leaders: Set[int], node: NodeProcess = NO_NODE) -> int | None:
    """The one of `leaders` (processes that instances began as) whose process holds the other end.

    UNKNOWN for a process of the node that is none of theirs, or one that is gone already, and where the
    kernel cannot be asked (nobody gets further by using up this process's descriptors); None for all others.
    """
    try:
        if connection.family == socket.AF_UNIX:
            return _leader(_peer_process(connection), leaders, node)
        return _holder(connection, leaders, node)
    except OSError:
        return UNKNOWN


def is_local(connection: socket.socket) -> bool:
    """Whether the other end may be on this machine: what else comes from an address of it?

    A program chooses from which of them it comes.
    """
    if connection.family == socket.AF_UNIX:
        return True
    try:
        theirs = str(connection.getpeername()[0])
    except OSError:
        # It has left.
        return False
    return theirs == connection.getsockname()[0] or theirs in local_addresses()


def _peer_process(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(raw)[0]
    return pid


def _leader(pid: int, leaders: Set[int], node: NodeProcess) -> int | None:
    """Who has left may have left the connection to somebody else: nobody knows whose it is then."""
    for _ in range(_PARENTS_LOST):
        ancestor = pid
        while ancestor > 1:
            if ancestor in leaders:
                return ancestor
            stat = read_stat(ancestor)
            if stat is None:
                break
            if stat.session in leaders:
                return stat.session
            if ancestor == node.pid:
                return UNKNOWN
            ancestor = stat.parent
        else:
            return _without_parents(pid, node)
    return UNKNOWN


def _without_parents(pid: int, node: NodeProcess) -> int | None:
    """Of a process that descends from nobody that is known: an engine started it beside a container's own
    (a probe), or an earlier life of the node started it, and its parents are gone.
    """
    group = _cgroup(pid)
    for name, leader in node.groups.items():
        if name in group:
            return leader
    return UNKNOWN if node.run and is_of_node(seal_of(pid), node.run) else None


def _cgroup(pid: int) -> str:
    """Where it is kept (cgroups(7)), which everybody may read."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass(frozen=True, slots=True)
class _End:
    """The other end of a TCP connection. `inode` is 0 once nobody holds it any more."""

    inode: int
    uid: int


def _other_end(connection: socket.socket) -> _End | None:
    """By proc_net_tcp(5): the peer's socket has our addresses the other way round."""
    ours, theirs = connection.getsockname(), connection.getpeername()
    for family, table, mapped in _TABLES[connection.family]:
        wanted = [_hexadecimal(family, mapped + end[0], end[1]) for end in (theirs, ours)]
        with open(table) as file:
            next(file)
            for line in file:
                fields = line.split()
                if fields[1:3] == wanted:
                    return _End(int(fields[9]), int(fields[7]))
    return None


#: Where an end may stand, and what is before its address there: a socket for both families has IPv4 as IPv6.
_TABLES = {
    socket.AF_INET: (
        (socket.AF_INET, "/proc/net/tcp", ""),
        (socket.AF_INET6, "/proc/net/tcp6", "::ffff:"),
    ),
    socket.AF_INET6: ((socket.AF_INET6, "/proc/net/tcp6", ""),),
}


def _hexadecimal(family: int, address: str, port: int) -> str:
    """As the kernel prints it: 32-bit words in the machine's byte order, then the port."""
    packed = socket.inet_pton(family, address)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def _holder(connection: socket.socket, leaders: Set[int], node: NodeProcess) -> int | None:
    end = _other_end(connection)
    if end is None or not end.inode:
        return UNKNOWN
    link, hidden = f"socket:[{end.inode}]", []
    for pid in _of_user(end.uid):
        found = _holds(pid, link)
        if found:
            if pid not in _lately:
                _lately.append(pid)
            return _leader(pid, leaders, node)
        if found is None:
            hidden.append(pid)
    # Who does not let itself be looked at is somebody else's, unless it is one of ours.
    ours = any(_leader(pid, leaders, node) is not None for pid in hidden) or any(map(_is_veiled, leaders))
    return UNKNOWN if ours else None


def _is_veiled(pid: int) -> bool:
    """Whether there is such a process, which /proc does not show: another user's where it hides them
    (proc(5), hidepid).
    """
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not os.path.exists(f"/proc/{pid}")
    except OSError:
        return False
    return False


def _of_user(uid: int) -> Iterator[int]:
    """That user's processes: likely ones first, then the youngest."""
    for pid in _in_order():
        try:
            if os.stat(f"/proc/{pid}").st_uid == uid or os.geteuid() == 0:
                yield pid
        except OSError:
            continue


def _in_order() -> Iterator[int]:
    yield from (lately := tuple(_lately))
    yield from (pid for pid in reversed(pids()) if pid not in lately)


def _holds(pid: int, link: str) -> bool | None:
    """Whether the process has that descriptor; None where it does not let itself be looked at."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except PermissionError:
        return None
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(_leads(f"{folder}/{name}", link) for name in names)


def _leads(path: str, link: str) -> bool:
    try:
        return os.readlink(path) == link
    except OSError:
        return False
