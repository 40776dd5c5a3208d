"""Paired devices: who comes by a tunnel is known by the key that it proved, and by nothing else."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.router.decide.table import Session
from runtimes.router.remote import RouterProcess
from tests.runtimes.router.harness import ADMIN, API, call, until
from tests.runtimes.router.instances import Held
from tests.runtimes.router.test_remote import Node
from tests.runtimes.router.test_tunnels import UPGRADE, mirror
from tests.runtimes.router.wire import Wire, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AsyncExitStack

    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio

SECRET, KEY, OTHER = "the-secret", "ab" * 32, "cd" * 32
HOST = "notes.localhost:2836"
GATEWAY = f"/_atek/gateway?api={API}"
PERSONS_FIELDS = ("Atek-Auth-User: eve", "Remote-User: eve", "atek_auth_user: eve", "X-Forwarded-User: eve")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Home(Node):
    """A node to which tunnels come at `arrivals`."""

    async def _open(self, stack: AsyncExitStack) -> None:
        await super()._open(stack)
        self.arrivals = str(self.folder / "tunnel")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.arrivals)
        listener.listen()
        stack.callback(listener.close)
        settings = {**self.router._settings, "tunnelSecret": SECRET}
        self.router = RouterProcess(self.router._sockets, settings, self._died, listener)

    async def devices(self, **devices: Session | None) -> None:
        names = {"mine": KEY, "other": OTHER}
        self.router.set_devices({names[name]: session for name, session in devices.items()})
        await until_published_at_last(self)

    async def arrive(self, key: str = KEY, secret: str = SECRET, *, first: bytes | None = None) -> Wire:
        """As the daemon does for a device."""
        stream = await anyio.connect_unix(self.arrivals)
        self._stack.push_async_callback(stream.aclose)
        line = json.dumps({"noiseKey": key, "secret": secret}).encode() + b"\n" if first is None else first
        await stream.send(line)
        return Wire(stream)

    async def ask_from(
        self,
        key: str,
        *fields: str,
        method: str = "GET",
        target: str = "/",
        host: str = HOST,
        body: bytes = b"",
    ) -> Message:
        client = await self.arrive(key)
        await client.send(request(method, target, *fields, host=host, body=body))
        return await client.answer(to=method)


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    async with Home() as made:
        yield made


async def until_published_at_last(home: Home) -> None:
    """Once there is a router that knows what was said to it."""
    with anyio.fail_after(10):
        while not await home.router.metrics():
            await anyio.sleep(0.01)


async def ended(client: Wire) -> bool:
    """Whether it is cut off without a word."""
    with anyio.fail_after(5):
        try:
            await client.send(request("GET", "/", host=HOST))
            return await client.rest() == b""
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
            return True


async def test_a_device_of_nobody_is_a_visitor_as_a_browser_of_this_machine_is(home: Home) -> None:
    notes = await home.service()
    home.run()
    await home.devices(mine=None)
    answer = await home.ask_from(KEY, *PERSONS_FIELDS)
    assert answer.status == 200
    assert not [name for name in notes.request.names if "auth" in name or "user" in name]
    body = json.dumps(call("echo", [1])).encode()
    assert (
        await home.ask_from(KEY, method="POST", target=GATEWAY, host="localhost:2836", body=body)
    ).status == 401


async def test_a_device_of_a_person_is_that_person(home: Home) -> None:
    notes = await home.service(owner="bob")
    home.run()
    home.router.set_private(True)
    await home.devices(mine=Session("bob", "bob"), other=Session("carol", "carol"))
    assert (await home.ask_from(KEY, *PERSONS_FIELDS)).status == 200
    assert notes.request["atek-auth-user"] == "bob"
    assert (await home.ask_from(OTHER)).status == 403
    body = json.dumps(call("echo", [1])).encode()
    answer = await home.ask_from(KEY, method="POST", target=GATEWAY, host="localhost:2836", body=body)
    assert answer.json["result"] == [1]


async def test_a_page_of_elsewhere_is_not_the_person_whose_device_shows_it(home: Home) -> None:
    await home.service(owner="bob")
    home.run()
    home.router.set_private(True)
    await home.devices(mine=Session("bob", "bob"))
    fields = ("Origin: http://evil.example", "Sec-Fetch-Site: cross-site")
    body = json.dumps(call("echo", [1])).encode()
    answer = await home.ask_from(
        KEY, *fields, method="POST", target=GATEWAY, host="localhost:2836", body=body
    )
    assert answer.status in (401, 403)
    assert (await home.ask_from(KEY, *fields)).status in (401, 403)
    assert (await home.ask_from(KEY, host="evil.example")).status == 421


async def test_a_token_that_a_request_shows_is_its_own_proof(home: Home) -> None:
    await home.service()
    home.run()
    await home.devices(mine=None)
    body = json.dumps(call("echo", [1])).encode()
    fields = (f"Authorization: Bearer {ADMIN}",)
    answer = await home.ask_from(
        KEY, *fields, method="POST", target=GATEWAY, host="localhost:2836", body=body
    )
    assert answer.json["result"] == [1]


@pytest.mark.parametrize(
    "first",
    [
        json.dumps({"noiseKey": KEY, "secret": "guess"}).encode() + b"\n",
        json.dumps({"noiseKey": KEY}).encode() + b"\n",
        json.dumps({"noiseKey": OTHER, "secret": SECRET}).encode() + b"\n",
        json.dumps({"noiseKey": [KEY], "secret": SECRET}).encode() + b"\n",
        b"[]\n",
        b"GET / HTTP/1.1\r\nHost: notes.localhost\r\n\r\n",
        b"x" * 5000,
    ],
    ids=["another secret", "no secret", "unpaired", "no key", "no object", "HTTP", "no end"],
)
async def test_nobody_else_gets_in_there(home: Home, first: bytes) -> None:
    await home.service()
    home.run()
    await home.devices(mine=None)
    assert await ended(await home.arrive(first=first))


async def test_a_node_that_says_nothing_of_devices_lets_none_in(home: Home) -> None:
    await home.service()
    home.run()
    await until_published_at_last(home)
    assert await ended(await home.arrive())


async def test_a_device_that_is_unpaired_is_cut_off_in_the_middle_of_anything(home: Home) -> None:
    held = Held()
    await home.service(serve=held)
    home.run()
    await home.devices(mine=None, other=None)
    upload, other = await home.arrive(), await home.arrive(OTHER)
    await upload.send(request("PUT", "/", "Content-Length: 1000000", host=HOST) + b"x" * 1000)
    await until(lambda: held.waiting)
    await home.devices(other=None)
    with anyio.fail_after(5):
        assert await upload.rest() == b""
    await other.send(request("GET", "/_atek/none", host="localhost"))
    assert (await other.answer()).status == 404


async def test_websockets_go_through_and_end_with_the_device(home: Home) -> None:
    await home.service(serve=mirror)
    home.run()
    await home.devices(mine=None)
    client = await home.arrive()
    await client.send(request("GET", "/", *UPGRADE, host=HOST))
    assert (await client.head()).status == 101
    await client.send(b"hello")
    assert await client.some() == b"HELLO"
    await home.devices()
    with anyio.fail_after(5):
        await client.rest()


async def test_a_router_that_died_leaves_a_successor_that_knows_them(home: Home) -> None:
    await home.service()
    home.run()
    await home.devices(mine=None)
    os.kill(home.router.pid, signal.SIGKILL)
    await until(lambda: home.deaths)
    await until_published_at_last(home)
    assert (await home.ask_from(KEY)).status == 200
    assert await ended(await home.arrive(OTHER))
