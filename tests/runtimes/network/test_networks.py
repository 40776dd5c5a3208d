"""The network of a strict sandbox, over real namespaces: what a program gets to in there, and what not.

Each attempt at more is made twice: against the network as it is, and with its guard taken out, where it
succeeds.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.abc import SocketAttribute

from runtimes.network import dialling, serving
from runtimes.network.inside import PROXY_PORT, SERVICES, layout
from runtimes.network.namespaces import Namespaces, open_network
from runtimes.network.networks import Networks
from runtimes.network.rules import Rule, Rules, rules_of
from tests.runtimes.network.helpers import Inside, empty_network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio

PORT = 2835
#: Inside: connects, sends, and prints all that comes back.
TALK = """
import socket
with socket.create_connection({where!r}, 5) as s:
    s.sendall({data!r}); s.shutdown(socket.SHUT_WR)
    got = b""
    while piece := s.recv(65536): got += piece
    print(got.decode("latin-1"))
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """A node's networks, with one sandbox in them and servers that say who they are."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.networks = Networks(PORT, lambda _, refusal: self.refused.append(str(refusal)))
        self.networks.gateway = self
        self.doors: dict[str, list[socket.socket]] = {}
        self.inside: Inside
        self.door = Path(tempfile.mkdtemp(prefix="atek-door-")) / "door"

    def open_door(self, instance: str, token: str, listeners: Sequence[socket.socket]) -> None:
        self.doors[instance] = list(listeners)

    def close_door(self, instance: str) -> None:
        for each in self.doors.pop(instance, ()):
            each.close()

    async def talk(self, host: str, port: int, data: bytes = b"hello") -> str:
        return await self.inside.run(TALK.format(where=(host, port), data=data))

    async def ask_proxy(self, line: str, rest: bytes = b"") -> str:
        return await self.talk(SERVICES, PROXY_PORT, f"{line} HTTP/1.1\r\n\r\n".encode() + rest)


@asynccontextmanager
async def server(answer: bytes = b"the server heard: ", host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Says what it heard once the other side has ended. Its port."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            heard = bytearray()
            async for piece in stream:
                heard += piece
            await stream.send(answer + heard)

    listener = await anyio.create_tcp_listener(local_host=host)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def world(*egress: str, user: int | None = None, words: Sequence[str] = ()) -> AsyncIterator[World]:
    made = World()
    inside = layout(rules_of(egress))
    with empty_network(
        *words, user=user, hosts=inside.hosts_file, resolver=inside.resolver_file
    ) as made.inside:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.networks.run)
            await made.networks.open("one", "svc", made.inside.pid, "token", egress, made.door)
            try:
                yield made
            finally:
                made.networks.close_all()
                shutil.rmtree(made.door.parent)
                tasks.cancel_scope.cancel()


def resolves(monkeypatch: pytest.MonkeyPatch, **names: str) -> None:
    """DNS as it is said; `_` in a name is a dot."""
    found = {name.replace("_", "."): address for name, address in names.items()}

    async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        if host not in found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found[host], port))]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)


def nothing_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of addresses, taken out: the servers of these tests are near, on loopback."""
    monkeypatch.setattr(dialling, "objection", lambda *_: "")


# -- what works


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


# -- what does not


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
        monkeypatch.setattr("tests.runtimes.network.test_networks.PORT", port)
        async with world(f"{host}:{port}") as here:
            assert (await here.ask_proxy(f"CONNECT {host}:{port}")).startswith("HTTP/1.1 403 ")
        monkeypatch.setattr("tests.runtimes.network.test_networks.PORT", 1)
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
