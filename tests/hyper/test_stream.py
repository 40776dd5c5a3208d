"""The client's socket, at the moments at which sockets are awkward."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from hyper.stream import UnixStream, connect

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def pair() -> tuple[UnixStream, UnixStream]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return UnixStream(ends[0]), UnixStream(ends[1])


async def test_what_arrives_while_it_is_cancelled_troubles_nobody() -> None:
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    near, far = pair()
    async with near, far:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(near.receive)
            await anyio.wait_all_tasks_blocked()
            await far.send(b"x")
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert await near.receive() == b"x"
    assert not troubles


async def test_more_than_the_kernel_holds_gets_through() -> None:
    near, far = pair()
    sent, received = bytes(range(256)) * 20_000, b""
    async with near, far, anyio.create_task_group() as tasks:
        tasks.start_soon(near.send, sent)
        while len(received) < len(sent):
            received += await far.receive()
    assert received == sent


async def test_the_end_is_told_and_a_closed_end_is_of_no_use() -> None:
    near, far = pair()
    await far.aclose()
    with pytest.raises(anyio.EndOfStream):
        await near.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await near.send(b"x")
    with pytest.raises(anyio.ClosedResourceError):
        await far.send(b"x")
    await near.aclose()
    await near.aclose()


async def test_who_waits_learns_that_it_was_closed() -> None:
    near, far = pair()

    async def wait() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await near.receive()

    async with far, anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await near.aclose()


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await connect(str(tmp_path / "s"))
