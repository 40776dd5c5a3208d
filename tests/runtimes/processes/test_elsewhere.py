"""A program that listens elsewhere than it should: what the kernel knows, and what a person is told."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.base import Endpoint, Running
from runtimes.processes.elsewhere import NOWHERE, Listening, advise
from runtimes.processes.listening import listening
from tests.runtimes.factories import service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET = Endpoint(socket="/run/i1/service.sock")
DATAGRAMS = Listening("0.0.0.0", 5353, udp=True)
LOOPBACK, ANY = Listening("127.0.0.1", 6969), Listening("0.0.0.0", 3000)


def running(endpoint: Endpoint, container: str = "", runtime: str = "process", **manifest: Any) -> Running:
    wanted = service(runtime=runtime, command=["x"], **manifest)
    return Running("i1", wanted, 0, 1, endpoint, 0.0, container=container)


@pytest.mark.parametrize(
    ("endpoint", "manifest", "found", "told"),
    [(SOCKET, {}, {LOOPBACK}, "it listens on TCP 127.0.0.1:6969; write `port: 6969`"),
     (SOCKET, {}, {Listening("::1", 6969)}, "it listens on TCP [::1]:6969; write `port: 6969`"),
     (SOCKET, {}, {Listening(path="/tmp/other.sock")},
      "it listens on the Unix socket /tmp/other.sock; let it listen on $ATEK_ASSIGNED_SOCKET_FILE"),
     (SOCKET, {}, {LOOPBACK, ANY},
      "it listens on TCP 0.0.0.0:3000, TCP 127.0.0.1:6969; write which of them is its `port:`"),
     (SOCKET, {}, {Listening(path="/run/i1/service.sock"), LOOPBACK}, ""),
     (Endpoint(port=4321), {"port": "auto"}, {ANY},
      "it listens on TCP 0.0.0.0:3000 and not on port 4321 ($PORT); write `port: 3000`"),
     (Endpoint(port=80), {"port": 80}, {ANY},
      "it listens on TCP 0.0.0.0:3000 and not on port 80; write `port: 3000`"),
     (Endpoint(port=80), {"port": 80}, {Listening("10.0.0.5", 80)},
      "it listens on TCP 10.0.0.5:80 and not on port 80; let it listen on 127.0.0.1"),
     (Endpoint(port=3000), {"port": 3000}, {ANY}, ""),
     (Endpoint(port=80), {"port": 80}, {Listening("::", 80)}, ""),
     (Endpoint(port=80), {"port": 80}, {Listening("::1", 80)}, ""),
     (SOCKET, {}, set(), f"it listens nowhere; {NOWHERE}"),
     (SOCKET, {}, {DATAGRAMS}, "it listens on UDP 0.0.0.0:5353 only, where nobody can connect; "
      "write `probes: {readiness: none}`"),
     (Endpoint(port=5353), {"port": 5353}, {DATAGRAMS, Listening("::", 5354, udp=True)},
      "it listens on UDP 0.0.0.0:5353, UDP [::]:5354 only, where nobody can connect; "
      "write `probes: {readiness: none}`"),
     (SOCKET, {}, {DATAGRAMS, LOOPBACK}, "it listens on TCP 127.0.0.1:6969; write `port: 6969`"),
     (SOCKET, {}, None, NOWHERE)],
)  # fmt: skip
def test_what_is_told(
    endpoint: Endpoint, manifest: dict[str, Any], found: set[Listening] | None, told: str
) -> None:
    assert advise(running(endpoint, **manifest), found) == told


def test_a_container_has_addresses_and_paths_of_its_own() -> None:
    inside = running(Endpoint(host="10.213.0.2", port=8080), "c1", port="auto")
    assert advise(inside, {Listening("0.0.0.0", 8080)}) == ""
    assert advise(inside, {Listening("127.0.0.1", 8080)}).endswith("let it listen on 0.0.0.0")
    assert "nobody reaches the loopback address" in advise(inside, {LOOPBACK})
    assert advise(inside, {ANY}).endswith("write `port: 3000`")
    assert advise(running(SOCKET, "c1"), {Listening(path="/atek/run/service.sock")}) == ""
    assert advise(running(SOCKET, "c1"), {Listening(path="/other.sock")}) != ""


@pytest.mark.parametrize(
    ("manifest", "do"),
    [({}, '`probes: {readiness: none}` and `publish: ["5353:5353/udp", "5354:5354/udp"]`'),
     ({"publish": ["53:5353/udp", "5354:5354"]},
      '`probes: {readiness: none}` and `publish: ["5354:5354/udp"]`'),
     ({"publish": ["53:5353/udp", "5354:5354/udp"]}, "write `probes: {readiness: none}`"),
     ({"network": "host"}, "write `probes: {readiness: none}`")],
)  # fmt: skip
def test_datagrams_for_a_container_come_through_a_published_port(manifest: dict[str, Any], do: str) -> None:
    found = {DATAGRAMS, Listening("::", 5354, udp=True)}
    inside = running(Endpoint(host="10.213.0.2", port=80), "c1", runtime="docker", image="x", **manifest)
    assert advise(inside, found).endswith(do)


@contextmanager
def program(code: str) -> Iterator[subprocess.Popen[str]]:
    """Python code that has begun to listen once it says so."""
    line = [
        sys.executable,
        "-c",
        f"import os, socket, sys\n{code}\nprint('up', flush=True)\nsys.stdin.read()",
    ]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_the_kernel_tells_what_a_program_and_its_children_listen_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)), socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = str(tmp_path / "x.sock")
    code = f"""
a = socket.create_server(("127.0.0.1", {port}))
b = socket.create_server(("::1", {port}), family=socket.AF_INET6)
os.path.exists({path!r}) and os.unlink({path!r})
c = socket.socket(socket.AF_UNIX); c.bind({path!r}); c.listen()
connected = socket.create_connection(("127.0.0.1", {port}))
d = socket.socket(); d.bind(("127.0.0.1", 0))
e = socket.socket(type=socket.SOCK_DGRAM); e.bind(("127.0.0.1", {port}))
f = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); f.bind(("::1", {port}))
g = socket.socket(type=socket.SOCK_DGRAM); g.connect(("127.0.0.1", {port}))
h = socket.socket(type=socket.SOCK_DGRAM)
"""
    datagrams = {Listening("127.0.0.1", port, udp=True), Listening("::1", port, udp=True)}
    wanted = {*datagrams, Listening("127.0.0.1", port), Listening("::1", port), Listening(path=path)}
    with program(code) as process:
        assert listening(process.pid) == wanted
    child = "\n".join(["a = None", "if os.fork():", "    os.wait()", "    sys.exit()", code])
    with program(child) as process:
        assert listening(process.pid) == wanted


def test_a_process_that_is_gone_listens_nowhere() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
        assert not listening(process.pid)
