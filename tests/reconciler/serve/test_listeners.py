"""What a node listens on: both addresses of localhost, at one port."""

from __future__ import annotations

import socket
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.serve.listeners import open_sockets

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def run() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="atek-run-") as folder:
        yield Path(folder)


def test_localhost_is_found_at_both_of_its_addresses(run: Path) -> None:
    with closing(open_sockets(run, 0)) as sockets:
        assert sockets.lacking == () and len(sockets.tcp) == 2
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, sockets.port), timeout=5).close()
        port = sockets.port
    with closing(open_sockets(run, port)) as again:
        assert len(again.tcp) == 2


def test_another_program_at_the_other_address_is_told(run: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with closing(open_sockets(run, port)) as sockets:
            assert (sockets.port, len(sockets.tcp)) == (port, 1)
            (line,) = sockets.lacking
            assert line.startswith(f"another program has port {port} of ::1")
