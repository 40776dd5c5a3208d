"""What comes to the gateway's port inside of a container gets to its socket, both ways and to the end."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.docker.gateway import relay

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


async def test_it_is_passed_on_both_ways_and_so_is_its_end(tmp_path: Path) -> None:
    async def serve(stream: SocketStream) -> None:
        async with stream:
            heard = bytearray()
            async for piece in stream:
                heard += piece
            await stream.send(bytes(reversed(heard)))

    gateway = os.fspath(tmp_path / "gateway.sock")
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    sent = os.urandom(1_000_000)
    async with await anyio.create_unix_listener(gateway) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        tasks.start_soon(relay, bound, gateway)
        with anyio.fail_after(20):
            async with await anyio.connect_tcp("127.0.0.1", port) as client:
                await client.send(sent)
                await client.send_eof()
                assert b"".join([piece async for piece in client]) == bytes(reversed(sent))
        tasks.cancel_scope.cancel()
