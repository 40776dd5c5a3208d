"""The network of a strict sandbox, over real namespaces: what a program does not get to in there.

Where a guard can be taken out by itself, the attempt is made without it too, and succeeds.
"""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.network import dialling, serving
from runtimes.network.inside import PROXY_PORT, SERVICES
from runtimes.network.rules import Rule, Rules
from tests.runtimes.network.world import nothing_is_near, resolves, server, world

if TYPE_CHECKING:
    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


async def test_nothing_of_the_machine_is_there_without_egress() -> None:
    """The node's other ports, abstract sockets, the LAN, a cloud's secrets, DNS, datagrams, raw sockets."""
    attempts = {
        "loopback": "socket.create_connection(('127.0.0.1', {port}), 2)",
        "loopback by IPv6": "socket.create_connection(('::1', {port}), 2)",
        "another loopback address": "socket.create_connection(('127.0.0.2', {port}), 2)",
        "abstract": "socket.socket(socket.AF_UNIX).connect('\\0atek-test-{pid}')",
        "lan": "socket.create_connection(('192.168.1.1', 80), 2)",
        "metadata": "socket.create_connection(('169.254.169.254', 80), 2)",
        "internet": "socket.create_connection(('1.1.1.1', 443), 2)",
        "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))",
        "broadcast": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('224.0.0.251', 5353))",
        "name": "socket.getaddrinfo('example.com', 443)",
    }
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0atek-test-{os.getpid()}")
        abstract.listen()
        await _attempt(attempts)


async def _attempt(attempts: dict[str, str]) -> None:
    async with server() as port, world() as here:
        for name, attempt in attempts.items():
            code = f"import socket; {attempt.format(port=port, pid=os.getpid())}; print('in')"
            assert "rror" in await here.inside.run(code), name
        assert set(here.refused) == {"example.com was looked up and is not in its egress"}
        # Without the guard, which is the empty network, the first ones are there.
        for name in ("loopback", "abstract"):
            code = f"import socket; {attempts[name].format(port=port, pid=os.getpid())}; print('in')"
            done = await anyio.run_process([sys.executable, "-c", code])
            assert done.stdout == b"in\n"


async def test_another_sandbox_is_not_there() -> None:
    async with world() as one, world() as two:
        await two.inside.run("""
import socket, builtins
builtins.kept = socket.create_server(("127.0.0.1", 7777))
""")
        assert "refused" in await one.talk("127.0.0.1", 7777)
        # It is there for itself.
        code = "import socket; socket.create_connection(('127.0.0.1', 7777)); print('in')"
        assert await two.inside.run(code) == "in"


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT other.example:{port}", "CONNECT 127.0.0.1:{port}", "CONNECT localhost:{port}",
        "CONNECT [::ffff:127.0.0.1]:{port}", "CONNECT 2130706433:{port}", "CONNECT 0x7f.1:{port}",
        "GET http://127.0.0.1:{port}/", "GET http://other.example:{port}/", "CONNECT api.example.com:22",
        "CONNECT api.example.com.other.example:{port}",
    ],
)  # fmt: skip
async def test_the_proxy_leads_nowhere_else(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server() as port, world(f"api.example.com:{port}") as here:
        resolves(monkeypatch, api_example_com="127.0.0.1", other_example="127.0.0.1")
        nothing_is_near(monkeypatch)
        said = await here.ask_proxy(line.format(port=port))
        assert said.startswith("HTTP/1.1 403 ")
        assert len(here.refused) == 1
        assert "not in its egress" in here.refused[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]", "a.localhost"])
async def test_egress_is_no_other_way_to_the_gateway(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it would be a visitor, and not itself."""
    async with server() as port:
        monkeypatch.setattr("tests.runtimes.network.world.PORT", port)
        async with world(f"{host}:{port}") as here:
            assert (await here.ask_proxy(f"CONNECT {host}:{port}")).startswith("HTTP/1.1 403 ")
        monkeypatch.setattr("tests.runtimes.network.world.PORT", 1)
        async with world(f"{host}:{port}") as here:
            assert not (await here.ask_proxy(f"CONNECT {host}:{port}")).startswith("HTTP/1.1 403 ")


async def test_without_the_list_the_proxy_leads_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server() as port, world() as here:
        monkeypatch.setattr(Rules, "find", lambda _, host, port: Rule(host, port, local=True))
        assert "the server heard" in await here.ask_proxy(f"CONNECT 127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "0.0.0.0", "100.64.0.1"])
async def test_a_name_that_is_let_stand_for_something_near_leads_nowhere(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server() as port, world(f"api.example.com:{port}") as here:
        resolves(monkeypatch, api_example_com=address)
        assert "hello" not in await here.talk("api.example.com", port)
        said = await here.ask_proxy(f"CONNECT api.example.com:{port}")
        assert said.startswith("HTTP/1.1 502 ")
        assert address in said
        assert len(here.refused) == 2
        assert all(address in each for each in here.refused)


async def test_a_name_is_looked_up_once_and_what_was_judged_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second answer, to whoever would ask again, is the attack (DNS rebinding)."""
    asked: list[str] = []
    dialled: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(0, 0, 0, "", ("1.1.1.1" if len(asked) == 1 else "127.0.0.1", port))]

    async def connect(host: str, port: int) -> SocketStream:
        dialled.append(host)
        raise ConnectionRefusedError

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(anyio, "connect_tcp", connect)
    with pytest.raises(ConnectionRefusedError):
        await dialling.dial(Rule("api.example.com", 443), "api.example.com")
    assert (asked, dialled) == (["api.example.com"], ["1.1.1.1"])


async def test_this_machine_under_its_own_public_address_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, api_example_com="93.184.215.14")
    monkeypatch.setattr(dialling, "source_for", lambda _: ip_address("93.184.215.14"))
    with pytest.raises(dialling.Refused, match=r"93\.184\.215\.14, an address of this machine"):
        await dialling.dial(Rule("api.example.com", 443), "api.example.com")


async def test_a_request_behind_a_request_goes_where_the_first_one_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server(b"") as port, world(f"api.example.com:{port}") as here:
        resolves(monkeypatch, api_example_com="127.0.0.1")
        nothing_is_near(monkeypatch)
        second = f"CONNECT other.example:{port} HTTP/1.1\r\n\r\n".encode()
        said = await here.ask_proxy(f"GET http://api.example.com:{port}/", second)
        # The host that is allowed hears it; to the proxy it is no request.
        assert said.count("CONNECT other.example") == 1
        assert here.refused == []


@pytest.mark.parametrize("head", [b"x" * 40_000, b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\r\n\r\n"])
async def test_what_is_no_request_gets_nowhere(head: bytes) -> None:
    async with world() as here:
        said = await here.talk(SERVICES, PROXY_PORT, head)
        assert said == "" or said.startswith("HTTP/1.1 400 ") or "Reset" in said


async def test_no_more_than_so_many_connections_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST", 3)
    async with server() as port, world(f"127.0.0.1:{port}") as here:
        said = await here.inside.run(f"""
import socket
many = [socket.create_connection(("127.0.0.1", {port})) for _ in range(5)]
ended = 0
for each in many:
    each.settimeout(1)
    try: ended += each.recv(1) == b""
    except (TimeoutError, ConnectionError): pass
print(ended)
for each in many: each.close()
""")
        assert said == "2"


async def test_what_does_not_move_is_cut_off() -> None:
    async with server() as port:
        one, other = socket.socketpair()
        from anyio.abc import UNIXSocketStream

        from runtimes.network.splicing import splice

        async with (
            await UNIXSocketStream.from_socket(one) as left,
            await anyio.connect_tcp("127.0.0.1", port) as right,
        ):
            with anyio.fail_after(5):
                await splice(left, right, idle=0.1)
        other.close()
