"""The doors of instances: listeners of which the router knows who alone can reach them."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.runtimes.router.harness import ADMIN, API, SOCKET, call, until
from tests.runtimes.router.test_remote import Node, until_published
from tests.runtimes.router.test_tunnels import UPGRADE
from tests.runtimes.router.wire import Wire, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio

GATEWAY = f"/_atek/gateway?api={API}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with Node() as made:
        yield made


async def open_door(node: Node, token: str, instance: str = "one") -> int:
    """The port of a new door."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    node.router.open_door(instance, token, [listener])
    return port


async def ask(port: int, *fields: str, method: str = "GET", target: str = "/", **more: object) -> Message:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        client = Wire(stream)
        await client.send(request(method, target, *fields, **more))  # type: ignore[arg-type]
        return await client.answer(to=method)


async def post(port: int, *fields: str) -> Message:
    body = json.dumps(call("echo", [1])).encode()
    return await ask(port, *fields, method="POST", target=GATEWAY, host="localhost", body=body)


async def test_who_comes_without_a_token_is_the_instance_that_the_door_is_for(node: Node) -> None:
    notes = await node.service()
    caller = await node.service("caller", exports=())
    node.run()
    port = await open_door(node, caller.token)
    answer = await post(port)
    assert answer.json["result"] == [1]
    assert notes.request["atek-auth-service"] == "key-of-caller"
    # The same head means nothing at the door of everybody.
    assert (await node.post(call("echo", [1]), token=None)).status == 401


async def test_allow_holds_there(node: Node) -> None:
    await node.service()
    caller = await node.service("caller", exports=(), allow=("example.com/other",))
    node.run()
    port = await open_door(node, caller.token)
    assert "Not authorized" in json.dumps((await post(port)).json)
    assert (await ask(port, host="notes.localhost")).status == 403


async def test_the_token_of_somebody_else_is_that_of_somebody_else(node: Node) -> None:
    notes = await node.service()
    caller = await node.service("caller", exports=(), allow=())
    node.run()
    port = await open_door(node, caller.token)
    assert (await post(port, f"Authorization: Bearer {ADMIN}")).json["result"] == [1]
    assert notes.request["atek-auth-service"] == "system"
    assert (await post(port, "Authorization: Bearer nobodys")).status == 401


@pytest.mark.parametrize(
    "field", ["Origin: http://localhost", "X-Forwarded-For: 192.0.2.1", "Cookie: session=x"], ids=str
)
async def test_what_is_sent_for_somebody_else_is_nobodys_and_no_visitors_either(
    node: Node, field: str
) -> None:
    await node.service()
    caller = await node.service("caller", exports=())
    node.run()
    port = await open_door(node, caller.token)
    assert (await post(port, field)).status == 401
    assert (await ask(port, field, host="notes.localhost")).status == 401


async def test_an_instance_that_has_ended_is_nobody(node: Node) -> None:
    await node.service(exports=SOCKET)
    caller = await node.service("caller", exports=())
    node.run()
    port = await open_door(node, caller.token)
    assert (await ask(port, host="notes.localhost")).status == 200
    caller.publish(credentials=())
    await until_published(node)
    assert (await ask(port, host="notes.localhost")).status == 401
    # A WebSocket is not taken for that of whoever has the same numbers in the table of another network.
    assert (await ask(port, *UPGRADE, target=GATEWAY, host="localhost")).status == 401


async def test_a_door_is_shut_with_its_instance_and_another_one_stays_open(node: Node) -> None:
    caller = await node.service("caller", exports=())
    node.run()
    first, second = await open_door(node, caller.token), await open_door(node, caller.token, "two")
    assert (await ask(first, host="caller.localhost")).status == 200
    node.router.close_door("one")

    async def shut() -> bool:
        try:
            await ask(first, host="caller.localhost")
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            return True
        return False

    with anyio.fail_after(5):
        while not await shut():
            await anyio.sleep(0.01)
    assert (await ask(second, host="caller.localhost")).status == 200


async def test_the_next_router_has_the_doors_of_the_one_that_died(node: Node) -> None:
    caller = await node.service("caller", exports=())
    node.run()
    port = await open_door(node, caller.token)
    assert (await ask(port, host="caller.localhost")).status == 200
    await until(lambda: node.router.pid)
    first = node.router.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: node.router.pid not in (0, first))
    with anyio.fail_after(5):
        assert (await ask(port, host="caller.localhost")).status == 200


async def test_what_waits_for_its_service_is_still_the_instances_when_that_is_there(node: Node) -> None:
    notes = await node.service()
    caller = await node.service("caller", exports=(), allow=("example.com/notes",))
    ready = notes.instances[0]
    notes.publish(awaits="next")
    node.run()
    port = await open_door(node, caller.token)
    answers: list[Message] = []

    async def wait() -> None:
        answers.append(await ask(port, host="notes.localhost"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(0.1)
        notes.publish(ready, awaits="")
    assert [each.status for each in answers] == [200]
    assert notes.request["atek-auth-service"] == "key-of-caller"
