"""Whose process is at the other end: only what the kernel says counts, and what it does not say is nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from runtimes.router.carry import peer_credentials
from runtimes.router.carry.peer_credentials import session_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

US = os.getsid(0)
#: A session id that no process has: beyond pid_max.
NOBODY = 2**30


@contextmanager
def child(code: str, *, session: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs until its standard input ends."""
    script = f"import os, socket, sys\n{code}\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=session,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.communicate()


@contextmanager
def connected(server: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our side and the other one."""
    with server, socket.socket(server.family) as theirs:
        theirs.connect(server.getsockname())
        ours, _ = server.accept()
        with ours:
            yield ours, theirs


def listening(kind: str, folder: Path) -> socket.socket:
    """A listener within this machine, on a Unix socket or over TCP of either version."""
    if kind == "tcp6":
        return socket.create_server(("::1", 0), family=socket.AF_INET6)
    if kind == "tcp":
        return socket.create_server(("127.0.0.1", 0))
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "s"))
    server.listen()
    return server


@pytest.mark.parametrize("kind", ["unix", "tcp", "tcp6"])
def test_this_process_is_known_by_its_session(kind: str, tmp_path: Path) -> None:
    with connected(listening(kind, tmp_path)) as (ours, _):
        assert session_of(ours, frozenset({US, NOBODY})) == US
        assert session_of(ours, frozenset({NOBODY})) is None


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_grandchild_belongs_to_the_session_and_one_that_left_it_does_not(kind: str, tmp_path: Path) -> None:
    with listening(kind, tmp_path) as server:
        address = server.getsockname()
        connect = (
            f"s = socket.socket(socket.AF_{'INET' if kind == 'tcp' else 'UNIX'}); s.connect({address!r})"
        )
        with child(
            f"if os.fork() == 0:\n    {connect}\n    sys.stdin.read(); os._exit(0)", session=True
        ) as leader:
            ours, _ = server.accept()
            with ours:
                assert session_of(ours, frozenset({leader.pid})) == leader.pid
        code = f"if os.fork() == 0:\n    os.setsid()\n    {connect}\n    sys.stdin.read(); os._exit(0)"
        with child(code, session=True) as leader:
            ours, _ = server.accept()
            with ours:
                assert session_of(ours, frozenset({leader.pid})) is None


def test_a_proxy_between_is_who_is_asked_about(tmp_path: Path) -> None:
    """A program that passes on what another one sends is no cover for it, nor the other for the program."""
    relay = "\n".join([
        "outer = socket.create_server(('127.0.0.1', 0))",
        "print(outer.getsockname()[1], flush=True)",
        "inner = socket.create_connection(('127.0.0.1', {port}))",
        "kept = outer.accept()",
    ])  # fmt: skip
    with (
        listening("tcp", tmp_path) as server,
        child(relay.format(port=server.getsockname()[1]), session=True) as proxy,
    ):
        assert proxy.stdout is not None
        port = int(proxy.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            ours, _ = server.accept()
            with ours:
                assert session_of(ours, frozenset({US})) is None
                assert session_of(ours, frozenset({US, proxy.pid})) == proxy.pid


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_has_left_is_nobody(kind: str, tmp_path: Path) -> None:
    with listening(kind, tmp_path) as server:
        address = server.getsockname()
        code = f"s = socket.socket(socket.AF_{'INET' if kind == 'tcp' else 'UNIX'}); s.connect({address!r})"
        with child(code, session=True) as process:
            ours, _ = server.accept()
        with ours:
            assert session_of(ours, frozenset({process.pid})) is None


def test_a_connection_that_is_closed_is_nobodys(tmp_path: Path) -> None:
    with connected(listening("tcp", tmp_path)) as (ours, theirs):
        theirs.close()
        assert session_of(ours, frozenset({US})) is None
        ours.close()
        assert session_of(ours, frozenset({US})) is None


def test_an_address_in_the_disguise_of_the_other_family_is_nobodys() -> None:
    """IPv4 through a socket for both: the two ends stand in two tables. Who is not found is not known."""
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::ffff:127.0.0.1", 0))
    server.listen()
    with server, socket.create_connection(("127.0.0.1", server.getsockname()[1])):
        ours, _ = server.accept()
        with ours:
            assert ours.getpeername()[0] == "::ffff:127.0.0.1"
            assert session_of(ours, frozenset({US})) is None


def test_the_first_process_with_the_right_session_counts_and_not_who_has_another_socket(
    tmp_path: Path,
) -> None:
    """Two connections of one process to one listener are two sockets."""
    with (
        connected(listening("tcp", tmp_path)) as (ours, _),
        connected(listening("tcp", tmp_path)) as (others, _),
    ):
        found, other = peer_credentials._inode_of_peer(ours), peer_credentials._inode_of_peer(others)
        assert None not in (found, other) and found != other
