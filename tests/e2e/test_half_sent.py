"""Half-sent requests and idle connections, hundreds of them: monitoring and the owner still get through."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

MANY = 300
HALVES = (
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf",
    b"POST /readyz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    b"GET /metrics HTTP/1.1\r\nHost: loc",
)


def pages(port: int) -> list[int]:
    found = []
    for page in ("livez", "readyz", "metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            found.append(answer.status)
    return found


def test_half_sent_requests_are_in_nobodys_way(bench: Bench) -> None:
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    port = int(bench.status()["node"]["address"].rpartition(":")[2])
    for half in HALVES:
        with ExitStack() as stack:
            for _ in range(MANY):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.sendall(half)
            assert pages(port) == [200, 200, 200]


def test_the_owner_gets_through_to_its_node(bench: Bench) -> None:
    """Whatever other programs of the same user do with the control socket."""
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    control = str(bench.home / "run" / "control.sock")
    for half in (b"", b"POST /_atek/control HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"):
        with ExitStack() as stack:
            for _ in range(MANY):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(control)
                client.sendall(half)
            bench.until(lambda: bench.atek("status").returncode == 0, "the owner is let in")
            assert bench.atek("status").returncode == 0
