"""Run by `namespaces` as a program of its own: makes sockets inside other network namespaces.

Who enters a user namespace must have one thread only, which a node has not; and it cannot come back, so for
each request there is a fork that ends with it. It is started by `python -I -S`, and imports little, to be
there soon. It ends when the node does.

A request is a packet with the descriptor of a network namespace. Its lines: `add ADDRESS` (to lo), `tcp
ADDRESS PORT` and `udp ADDRESS PORT` (a socket is wanted that listens), `dial ADDRESS PORT` (one that is
connected). The answer is a packet with a line for each wanted
one: `ok`, and its descriptor comes along, or the number of the error; a single such line where nothing could
be done at all.
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import os
import struct
import sys
import time

_NEWNET, _NEWUSER = 0x40000000, 0x10000000
#: ioctl_ns(2): the user namespace that owns a namespace.
_GET_USERNS = 0xB701
_BACKLOG = 128
_LONGEST = 65536
#: Seconds until lo is there, and between two looks.
_PATIENCE, _LOOK_AGAIN = 5.0, 0.0005
_INT = struct.Struct("i")

# rtnetlink(7), with the numbers of <linux/rtnetlink.h> and <linux/if_addr.h>.
_ADDRESS = 20
_ASKED, _ACKNOWLEDGE, _EXCLUSIVE, _CREATE = 1, 4, 0x200, 0x400
_LOCAL_ATTRIBUTE, _ADDRESS_ATTRIBUTE = 2, 1
_NO_DETECTION, _HOST_SCOPE = 2, 254
_LO = 1
_MESSAGE, _ADDRESS_INFO = struct.Struct("=IHHII"), struct.Struct("=BBBBi")
_ERROR = struct.Struct("=IHHIIi")
_EXISTS = 17


def serve(node: _socket.socket) -> None:
    """Until the node is gone."""
    while True:
        request, ancillary, _, _ = node.recvmsg(_LONGEST, _socket.CMSG_SPACE(_INT.size))
        if not request:
            return
        (namespace,) = _INT.unpack_from(ancillary[0][2])
        child = os.fork()
        if child == 0:
            answer_in_child(node, namespace, request.decode().splitlines())
        os.close(namespace)
        os.waitpid(child, 0)


def answer_in_child(node: _socket.socket, namespace: int, lines: list[str]) -> None:
    """Does not return."""
    try:
        _enter(namespace)
        said, made = _obey(lines)
    except OSError as error:
        said, made = [str(error.errno)], []
    rights = b"".join(_INT.pack(each.fileno()) for each in made)
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
    try:
        node.sendmsg(["\n".join(said).encode()], ancillary)
    finally:
        os._exit(0)


def _enter(namespace: int) -> None:
    """By the rights that one has, else by those that whoever made it has in there."""
    try:
        return _set_namespace(namespace, _NEWNET)
    except PermissionError:
        owner = fcntl.ioctl(namespace, _GET_USERNS)
    _set_namespace(owner, _NEWUSER)
    return _set_namespace(namespace, _NEWNET)


def _set_namespace(descriptor: int, kind: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _obey(lines: list[str]) -> tuple[list[str], list[_socket.socket]]:
    _wait_for_loopback()
    link = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, 0)
    said, made = [], []
    for line in lines:
        what, address, *port = line.split()
        if what == "add":
            _add(link, address)
            continue
        try:
            made.append((_dial if what == "dial" else _listen)(what, address, int(port[0])))
            said.append("ok")
        except OSError as error:
            said.append(str(error.errno))
    return said, made


def _wait_for_loopback() -> None:
    """Bubblewrap brings lo up, and fails where somebody else did before it."""
    trial = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            trial.bind(("127.0.0.1", 0))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_AGAIN)
        else:
            break
    trial.close()


def _add(link: _socket.socket, address: str) -> None:
    family = _family(address)
    packed = _socket.inet_pton(family, address)
    attributes = b"".join(
        struct.pack("=HH", 4 + len(packed), kind) + packed for kind in (_LOCAL_ATTRIBUTE, _ADDRESS_ATTRIBUTE)
    )
    about = _ADDRESS_INFO.pack(family, 8 * len(packed), _NO_DETECTION, _HOST_SCOPE, _LO)
    _tell_kernel(link, _ADDRESS, _CREATE | _EXCLUSIVE, about + attributes)


def _tell_kernel(link: _socket.socket, kind: int, flags: int, content: bytes) -> None:
    """What is so already is no error."""
    length = _MESSAGE.size + len(content)
    link.send(_MESSAGE.pack(length, kind, _ASKED | _ACKNOWLEDGE | flags, 0, 0) + content)
    number = -_ERROR.unpack_from(link.recv(_LONGEST))[5]
    if number not in (0, _EXISTS):
        raise OSError(number, os.strerror(number))


def _listen(what: str, address: str, port: int) -> _socket.socket:
    kind = _socket.SOCK_STREAM if what == "tcp" else _socket.SOCK_DGRAM
    made = _socket.socket(_family(address), kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK, 0)
    if made.family == _socket.AF_INET6:
        made.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
    if what == "tcp":
        # What an earlier life of the node left behind there has no say any more.
        made.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    if what == "tcp":
        made.listen(_BACKLOG)
    return made


def _dial(what: str, address: str, port: int) -> _socket.socket:
    made = _socket.socket(_family(address), _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    made.settimeout(_PATIENCE)
    made.connect((address, port))
    made.setblocking(False)
    return made


def _family(address: str) -> int:
    return _socket.AF_INET6 if ":" in address else _socket.AF_INET


if __name__ == "__main__":
    serve(_socket.socket(fileno=int(sys.argv[1])))
