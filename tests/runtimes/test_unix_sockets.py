"""A link in the place of a service's socket leads nobody to another one."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes.base import Endpoint, Running
from runtimes.probes import EndpointProber
from runtimes.unix_sockets import the_socket_at
from tests.runtimes.factories import service

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a socket that is somebody else's, and a link to it."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as engine:
        engine.bind(f"{name}/engine.sock")
        engine.listen()
        (Path(name) / "link.sock").symlink_to("engine.sock")
        yield Path(name)


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_the_socket_itself_is_found_and_a_link_to_it_is_not(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with the_socket_at(f"{folder}/engine.sock") as path:
        connect(path)
    for name in ("link.sock", "none.sock", "."):
        with pytest.raises(OSError), the_socket_at(f"{folder}/{name}") as path:
            connect(path)
    assert len(os.listdir("/proc/self/fd")) == before
    # Without it the link leads there.
    connect(f"{folder}/link.sock")


def test_one_that_takes_its_place_afterwards_is_not_connected_to(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mine:
        mine.bind(f"{folder}/mine.sock")
        with the_socket_at(f"{folder}/mine.sock") as path:
            (folder / "mine.sock").unlink()
            (folder / "mine.sock").symlink_to("engine.sock")
            with pytest.raises(ConnectionRefusedError):
                connect(path)


async def test_a_probe_follows_no_link(folder: Path) -> None:
    prober = EndpointProber()
    for name, works in (("engine.sock", True), ("link.sock", False)):
        running = Running("i1", service(command=["x"]), 0, 0, Endpoint(socket=f"{folder}/{name}"), 0.0)
        assert (await prober.check(None, running) is None) is works
