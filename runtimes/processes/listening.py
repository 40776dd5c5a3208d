"""Where a program listens, by what the kernel says of its processes: proc_net_tcp(5), proc_net_unix(5).

For UDP it says no such thing: what is bound to a port and connected to nobody gets whatever comes.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from runtimes.processes.elsewhere import Listening
from runtimes.processes.proc import pids, read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator

#: TCP_LISTEN; and TCP_CLOSE, which is any socket of UDP that is not connected.
_LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
#: __SO_ACCEPTCON among the flags of a Unix socket.
_UNIX_LISTENS = 0x10000
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def listening(leader: int) -> set[Listening] | None:
    """Of a process and all that descend from it; None where this user may not see that."""
    inodes = _inodes(leader)
    if inodes is None and not _has_own_network(leader):
        return None
    found: set[Listening] = set()
    try:
        ports = (each for table in _LISTENS for each in _ports(leader, table))
        for inode, one in (*ports, *_unix(leader)):
            if inodes is None or inode in inodes:
                found.add(one)
    except OSError:
        return None
    return found


def _inodes(leader: int) -> set[str] | None:
    """The sockets that they have; None when one of them may not be looked into."""
    found: set[str] = set()
    for pid in _family(leader):
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except PermissionError:
            return None
        except OSError:
            continue
        for name in names:
            with suppress(OSError):
                if match := _SOCKET.fullmatch(os.readlink(f"/proc/{pid}/fd/{name}")):
                    found.add(match[1])
    return found


def _family(leader: int) -> set[int]:
    stats = [stat for pid in pids() if (stat := read_stat(pid)) is not None]
    family = {stat.pid for stat in stats if leader in (stat.pid, stat.session)}
    while more := {stat.pid for stat in stats if stat.parent in family} - family:
        family |= more
    return family


def _has_own_network(pid: int) -> bool:
    """Whether all that listens there is its own, as in a container."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    except OSError:
        return False


def _ports(pid: int, table: str) -> Iterator[tuple[str, Listening]]:
    with suppress(FileNotFoundError), open(f"/proc/{pid}/net/{table}") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS[table]:
                address, _, port = fields[1].rpartition(":")
                yield fields[9], Listening(_address(address), int(port, 16), udp=table.startswith("udp"))


def _address(text: str) -> str:
    """Words of 32 bits in this machine's order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    data = struct.pack(f"{'<' if sys.byteorder == 'little' else '>'}{len(words)}I", *words)
    if len(words) == 1:
        return str(IPv4Address(data))
    found = IPv6Address(data)
    return str(found.ipv4_mapped or found)


def _unix(pid: int) -> Iterator[tuple[str, Listening]]:
    with suppress(FileNotFoundError), open(f"/proc/{pid}/net/unix", errors="replace") as file:
        for line in file.readlines()[1:]:
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and int(fields[3], 16) & _UNIX_LISTENS:
                path = "".join(each for each in fields[7].rstrip("\n") if each.isprintable())
                yield fields[6], Listening(path=path)
