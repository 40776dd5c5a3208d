"""Whose process is at the other end: only what the kernel says counts, and what it does not say is nobody."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runtimes.processes.marks import seal, sealed
from runtimes.router.carry import peer_credentials
from runtimes.router.carry.peer_credentials import UNKNOWN, NodeProcess, leader_of

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
        assert leader_of(ours, frozenset({US, NOBODY})) == US
        assert leader_of(ours, frozenset({NOBODY})) is None


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_grandchild_belongs_to_the_instance_also_when_it_leaves_the_session(
    kind: str, tmp_path: Path
) -> None:
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
                assert leader_of(ours, frozenset({leader.pid})) == leader.pid
        code = f"if os.fork() == 0:\n    os.setsid()\n    {connect}\n    sys.stdin.read(); os._exit(0)"
        with child(code, session=True) as leader:
            ours, _ = server.accept()
            with ours:
                assert leader_of(ours, frozenset({leader.pid})) == leader.pid


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
                assert leader_of(ours, frozenset({NOBODY})) is None
                assert leader_of(ours, frozenset({US, proxy.pid})) == proxy.pid


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_nobody_knows_whose_it_is_when_its_maker_has_left(kind: str, tmp_path: Path) -> None:
    with listening(kind, tmp_path) as server:
        address = server.getsockname()
        code = f"s = socket.socket(socket.AF_{'INET' if kind == 'tcp' else 'UNIX'}); s.connect({address!r})"
        with child(code, session=True):
            ours, _ = server.accept()
        with ours:
            assert leader_of(ours, frozenset({NOBODY})) == UNKNOWN


def test_a_connection_that_is_closed_is_nobodys(tmp_path: Path) -> None:
    with connected(listening("tcp", tmp_path)) as (ours, theirs):
        theirs.close()
        assert leader_of(ours, frozenset({US})) == UNKNOWN
        ours.close()
        assert leader_of(ours, frozenset({US})) == UNKNOWN


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_lost_his_parents_is_a_child_of_the_node(kind: str, tmp_path: Path) -> None:
    """Two forks and a session of its own: the node is who such children are given to."""
    with listening(kind, tmp_path) as server:
        family = "INET" if kind == "tcp" else "UNIX"
        code = (
            "import ctypes\nctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
            "if os.fork() == 0:\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n"
            f"    s = socket.socket(socket.AF_{family}); s.connect({server.getsockname()!r})\n"
            "    sys.stdin.read(); os._exit(0)"
        )
        with child(code, session=True) as node:
            ours, _ = server.accept()
            with ours:
                assert leader_of(ours, frozenset({NOBODY}), NodeProcess(node.pid)) == UNKNOWN
                assert leader_of(ours, frozenset({NOBODY})) is None


def test_who_lost_the_node_too_still_has_its_seal(tmp_path: Path) -> None:
    run = str(tmp_path)
    with listening("unix", tmp_path) as server:
        code = f"s = socket.socket(socket.AF_UNIX); s.connect({server.getsockname()!r})"
        with sealed(seal(run, "i1")), child(code, session=True):
            ours, _ = server.accept()
            with ours:
                assert leader_of(ours, frozenset({NOBODY}), NodeProcess(NOBODY, run)) == UNKNOWN
                assert leader_of(ours, frozenset({NOBODY}), NodeProcess(NOBODY, "/elsewhere")) is None


def test_who_is_kept_in_the_cgroup_of_an_instance_is_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an engine starts beside a container's own program is no child of that."""
    with child("", session=True) as leader, listening("unix", tmp_path) as server:
        code = f"s = socket.socket(socket.AF_UNIX); s.connect({server.getsockname()!r})"
        with child(code, session=True) as beside:
            monkeypatch.setattr(peer_credentials, "_cgroup", {beside.pid: "0::/docker/4f5e"}.get)
            ours, _ = server.accept()
            with ours:
                node = NodeProcess(groups={"4f5e": leader.pid})
                assert leader_of(ours, frozenset({leader.pid}), node) == leader.pid
                assert leader_of(ours, frozenset({leader.pid}), replace(node, groups={"6a": 1})) is None


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_where_the_kernel_cannot_be_asked_nobody_is_a_visitor(kind: str, tmp_path: Path) -> None:
    """Somebody used up the descriptors of this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connected(listening(kind, tmp_path)) as (ours, _):
        assert leader_of(ours, frozenset({NOBODY})) is None
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
            assert leader_of(ours, frozenset({NOBODY})) == UNKNOWN
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_address_in_the_disguise_of_the_other_family_is_found() -> None:
    """IPv4 through a socket for both."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as theirs:
        theirs.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        ours, _ = server.accept()
        with ours:
            assert ours.getpeername()[0] == "127.0.0.1"
            assert leader_of(ours, frozenset({US})) == US


def test_two_connections_of_one_process_to_one_listener_are_two_ends(tmp_path: Path) -> None:
    with (
        connected(listening("tcp", tmp_path)) as (ours, _),
        connected(listening("tcp", tmp_path)) as (others, _),
    ):
        found, other = peer_credentials._other_end(ours), peer_credentials._other_end(others)
        assert found is not None and other is not None and found.inode != other.inode


#: A program of root's (of a container with the machine's network) connects, and a router that is not root is
#: asked whose it is: with the container among the instances, and without.
ANOTHER_USERS = """
import ctypes, os, socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 0))
connects = f"import socket, sys; s = socket.create_connection({server.getsockname()!r}); sys.stdin.read()"
theirs = subprocess.Popen([sys.executable, "-c", connects], stdin=subprocess.PIPE, start_new_session=True)
ours, _ = server.accept()
if sys.argv[1] == "hidden":
    libc = ctypes.CDLL(None)
    assert libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, 0x44000, None) == 0
    assert libc.mount(b"proc", b"/proc", b"proc", 0, b"hidepid=2") == 0
from runtimes.router.carry.peer_credentials import UNKNOWN, leader_of
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
assert leader_of(ours, frozenset({theirs.pid})) == UNKNOWN, "a visitor"
assert leader_of(ours, frozenset()) is None
theirs.stdin.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs of two users")
@pytest.mark.parametrize("proc", ["shown", "hidden"])
def test_another_users_program_is_no_visitor_as_long_as_an_instance_may_be_it(proc: str) -> None:
    line = [sys.executable, "-c", ANOTHER_USERS, proc]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
