"""The network of a strict sandbox, over real namespaces: what a program gets to in there."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.abc import SocketAttribute

from runtimes.network import dialling
from runtimes.network.namespaces import Namespaces, open_network
from runtimes.network.networks import Networks
from runtimes.network.rules import Rule
from tests.runtimes.network.helpers import empty_network
from tests.runtimes.network.world import PORT, TALK, nothing_is_near, resolves, server, world

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("words", [(), ("--disable-userns",)], ids=["plain", "no more namespaces"])
@pytest.mark.parametrize("user", [None, 65534], ids=["own", "another user's"])
async def test_the_gateway_listens_inside(user: int | None, words: tuple[str, ...]) -> None:
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root has other users")
    async with world(user=user, words=words) as here:
        unix, *tcp = (each.getsockname() for each in here.doors["one"])
        assert unix == str(here.door)
        assert [each[:2] for each in tcp] == [("127.0.0.1", PORT), ("::1", PORT)]
        for host in ("127.0.0.1", "::1"):
            heard = await here.inside.run(
                f"import socket; print(socket.create_connection(({host!r}, {PORT})))"
            )
            assert f"raddr=('{host}'" in heard


async def test_a_named_host_is_reached_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server() as port, world(f"api.example.com:{port}") as here:
        resolves(monkeypatch, api_example_com="127.0.0.1")
        nothing_is_near(monkeypatch)
        assert await here.talk("api.example.com", port) == "the server heard: hello"
        assert here.refused == []


async def test_a_wildcard_is_reached_by_any_program_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server() as port, world(f"*.example.com:{port}") as here:
        resolves(monkeypatch, a_example_com="127.0.0.1", b_c_example_com="127.0.0.1")
        nothing_is_near(monkeypatch)
        assert await here.talk("a.example.com", port) == "the server heard: hello"
        assert await here.talk("b.c.example.com", port) == "the server heard: hello"
        assert await here.ask_proxy(f"CONNECT a.example.com:{port}", b"hi") == (
            "HTTP/1.1 200 Connection established\r\n\r\nthe server heard: hi"
        )


async def test_an_address_of_this_machine_is_reached_where_it_is_written() -> None:
    async with server() as port, world(f"localhost:{port}", f"127.0.0.1:{port}") as here:
        assert await here.talk("127.0.0.1", port) == "the server heard: hello"
        assert await here.talk("localhost", port) == "the server heard: hello"


async def test_the_proxy_takes_requests_for_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as port, world(f"api.example.com:{port}") as here:
        resolves(monkeypatch, api_example_com="127.0.0.1")
        nothing_is_near(monkeypatch)
        said = await here.ask_proxy(f"GET http://api.example.com:{port}/a")
        assert f"GET /a HTTP/1.1\r\nHost: api.example.com:{port}\r\nConnection: close" in said


async def test_much_goes_both_ways_and_an_end_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(b"") as port, world(f"localhost:{port}") as here:
        said = await here.inside.run(f"""
import socket, threading
s = socket.create_connection(("127.0.0.1", {port}))
def send():
    s.sendall(b"x" * 20_000_000); s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
n = 0
while piece := s.recv(1 << 20): n += len(piece)
print(n)
""")
        assert said == "20000000"


async def test_it_is_made_again_after_the_node_was_killed(tmp_path: Path) -> None:
    async with server() as port:
        with empty_network() as inside:
            for _ in range(3):
                door = tmp_path / "door"
                # Each is another life of the node; the sockets of the one before are closed by its end.
                networks = Networks(PORT)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(networks.run)
                    await networks.open("one", "svc", inside.pid, "", [f"127.0.0.1:{port}"], door)
                    where = ("127.0.0.1", port)
                    assert await inside.run(TALK.format(where=where, data=b"x")) == "the server heard: x"
                    networks.close_all()
                    tasks.cancel_scope.cancel()


async def test_the_helper_may_be_killed_at_any_time() -> None:
    namespaces = Namespaces()
    with empty_network() as inside:
        namespace = open_network(inside.pid)
        for _ in range(3):
            (made,) = await namespaces.listen(namespace, [("tcp", "127.0.0.1", PORT)])
            assert isinstance(made, socket.socket)
            assert not made.get_inheritable()
            made.close()
            assert namespaces.pid
            os.kill(namespaces.pid, signal.SIGKILL)
        os.close(namespace)
        namespaces.close()


async def test_what_cannot_be_listened_on_is_said_and_the_rest_is_there() -> None:
    namespaces = Namespaces()
    with empty_network() as inside:
        namespace = open_network(inside.pid)
        wanted = [("tcp", "127.0.0.1", 1), ("tcp", "8.8.8.8", 2), ("udp", "::1", 3), ("tcp", "127.0.0.1", 1)]
        one, nowhere, two, again = await namespaces.listen(namespace, wanted)
        assert isinstance(nowhere, OSError)
        assert isinstance(again, OSError)
        assert isinstance(one, socket.socket)
        assert isinstance(two, socket.socket)
        one.close()
        two.close()
        os.close(namespace)
        namespaces.close()


def test_a_process_without_a_network_of_its_own_has_none_to_be_entered() -> None:
    with pytest.raises(OSError, match="no network of its own"):
        open_network(os.getpid())


async def test_the_first_address_that_answers_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "_STAGGER", 0.05)
    monkeypatch.setattr(dialling, "objection", lambda *_: "")
    async with server() as port:

        async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
            # The first of them is nobody's (RFC 5737): it does not answer.
            return [(0, 0, 0, "", (each, port)) for each in ("192.0.2.1", "::1", "127.0.0.1")]

        monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)
        with anyio.fail_after(10):
            stream = await dialling.dial(Rule("api.example.com", port), "api.example.com")
        assert stream.extra(SocketAttribute.remote_address)[0] == "127.0.0.1"
        await stream.aclose()


async def test_a_port_of_the_program_is_there_outside_once_it_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    networks = Networks(PORT)
    with empty_network() as inside:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(networks.run)
            await networks.open("one", "svc", inside.pid, "", [], tmp_path / "door", port)
            with pytest.raises(OSError, match="attempts failed"):
                await anyio.connect_tcp("127.0.0.1", port)
            await inside.run(f"""
import socket, threading
server = socket.create_server(("127.0.0.1", {port}))
def serve():
    while True:
        client, _ = server.accept()
        got = b""
        while piece := client.recv(65536): got += piece
        client.sendall(b"inside heard " + got); client.close()
threading.Thread(target=serve, daemon=True).start()
""")
            for _ in range(3):
                assert await until_answered(port) == b"inside heard hello"
            networks.close_all()
            tasks.cancel_scope.cancel()
    with pytest.raises(OSError, match="attempts failed"):
        await anyio.connect_tcp("127.0.0.1", port)


async def until_answered(port: int) -> bytes:
    with anyio.fail_after(10):
        while True:
            try:
                stream = await anyio.connect_tcp("127.0.0.1", port)
            except OSError:
                await anyio.sleep(0.01)
                continue
            async with stream:
                await stream.send(b"hello")
                await stream.send_eof()
                return b"".join([piece async for piece in stream])
