"""TLS on the network's listeners: by OpenSSL, curl and Python; renewed under load; who is slow, or plain."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.streams.tls import TLSAttribute

from runtimes.router.carry import tls_listener
from runtimes.router.carry.doors import Doors
from runtimes.router.carry.tls import Tls
from runtimes.router.decide.plain import AUTHORITY_PATH
from tests.runtimes.router.certificates import HOST, Authority, serial
from tests.runtimes.router.harness import SOCKET, until
from tests.runtimes.router.instances import Held, says
from tests.runtimes.router.test_remote import Node, until_published
from tests.runtimes.router.test_tunnels import UPGRADE, mirror
from tests.runtimes.router.wire import Wire, reply, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Message

pytestmark = pytest.mark.anyio

NAMED = "notes.home.example"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with Node(domain="home.example") as made:
        yield made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def open_port(
    node: Node,
    name: str = "network",
    *,
    service: str = "",
    tls: bool = True,
    hosts: tuple[str, ...] = (HOST,),
) -> int:
    """A listener that the network reaches, as far as the router knows."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port: int = listener.getsockname()[1]
    node.router.open_to_network(name, [listener], hosts=hosts, service=service, tls=tls, after_people=False)
    return port


async def connect(port: int, context: ssl.SSLContext, name: str = HOST) -> Wire:
    with anyio.fail_after(20):
        stream = await anyio.connect_tcp(
            "127.0.0.1", port, ssl_context=context, tls_hostname=name, tls_standard_compatible=False
        )
    return Wire(stream)  # type: ignore[arg-type]


async def ask(
    port: int, context: ssl.SSLContext, target: str = "/", *fields: str, host: str = NAMED, **more: object
) -> Message:
    client = await connect(port, context)
    await client.send(request("GET", target, *fields, host=host, **more))  # type: ignore[arg-type]
    answer = await client.answer()
    await client.close()
    return answer


async def plainly(port: int, *fields: str, target: str = "/", host: str = NAMED) -> Message:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        client = Wire(stream)
        await client.send(request("GET", target, *fields, host=host))
        return await client.answer()


async def run(*words: str, stdin: bytes = b"") -> str:
    done = await anyio.run_process(words, input=stdin, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode(errors="replace")


# -- what clients see


async def test_a_service_is_told_that_its_client_came_by_https(node: Node, authority: Authority) -> None:
    notes = await node.service()
    node.run()
    node.router.show_certificate(authority.latest, authority.root)
    port = open_port(node)
    answer = await ask(port, authority.trusting)
    assert answer.body == b"GET /\n"
    assert notes.request["x-forwarded-proto"] == "https"
    assert notes.request["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_verifies_the_chain(node: Node, authority: Authority, version: str) -> None:
    node.run()
    node.router.show_certificate(authority.latest, authority.root)
    port = open_port(node)
    said = await run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", HOST, "-verify_hostname", HOST,
        "-CAfile", str(authority.file), version, "-alpn", "h2,http/1.1",
    )  # fmt: skip
    assert "Verify return code: 0 (ok)" in said
    assert "ALPN protocol: http/1.1" in said


async def test_what_is_older_than_tls_1_2_is_turned_away(node: Node, authority: Authority) -> None:
    node.run()
    node.router.show_certificate(authority.latest)
    port = open_port(node)
    said = await run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"
    )
    assert "Cipher is (NONE)" in said


async def test_curl_verifies_names_and_addresses(node: Node, authority: Authority) -> None:
    await node.service()
    node.run()
    node.router.show_certificate(authority.latest)
    port = open_port(node)
    for url in (
        f"https://{NAMED}:{port}/a",
        f"https://{HOST}:{port}/livez",
        f"https://127.0.0.1:{port}/livez",
    ):
        said = await run(
            "curl", "-sS", "--cacert", str(authority.file), "--connect-to", f"::127.0.0.1:{port}",
            "-o", "/dev/null", "-w", "%{http_code}", url,
        )  # fmt: skip
        assert said == ("200" if NAMED in url else "404"), url


async def test_a_name_that_nobody_knows_is_shown_the_same_certificate(
    node: Node, authority: Authority
) -> None:
    node.run()
    node.router.show_certificate(authority.latest)
    port = open_port(node)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await connect(port, authority.trusting, "elsewhere.example")
    assert (await ask(port, authority.trusting)).status == 404


async def test_a_websocket(node: Node, authority: Authority) -> None:
    await node.service(serve=mirror, exports=SOCKET)
    node.run()
    node.router.show_certificate(authority.latest)
    client = await connect(open_port(node), authority.trusting)
    await client.send(request("GET", "/", *UPGRADE, host=NAMED))
    assert (await client.head()).status == 101
    for word in (b"one", b"two" * 100_000):
        await client.send(word)
        assert await client.exactly(len(word)) == word.upper()
    await client.close()


async def test_long_bodies_both_ways(node: Node, authority: Authority) -> None:
    body = os.urandom(5_000_000)

    async def sums(asked: Asked) -> None:
        await asked.send(reply(200, hashlib.sha256(await asked.body()).hexdigest().encode() + body))

    await node.service(serve=sums)
    node.run()
    node.router.show_certificate(authority.latest)
    client = await connect(open_port(node), authority.trusting)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.send, request("POST", "/", host=NAMED, body=body))
        answer = await client.answer()
    assert answer.body == hashlib.sha256(body).hexdigest().encode() + body
    await client.close()


async def test_a_refused_upload_hears_why(node: Node, authority: Authority) -> None:
    """TLS cannot be closed in one direction: the answer has to arrive all the same."""
    node.run()
    node.router.show_certificate(authority.latest)
    client = await connect(open_port(node), authority.trusting)
    await client.send(request("POST", "/livez", "Content-Length: 10000000", host=HOST))
    assert (await client.answer()).status in (404, 413)
    await client.close()


# -- plain HTTP at a port that speaks TLS


async def test_a_browser_is_led_to_https_and_a_program_is_told(node: Node, authority: Authority) -> None:
    await node.service()
    node.run()
    node.router.show_certificate(authority.latest, authority.root)
    port = open_port(node)
    answer = await plainly(port, "Accept: text/html", target="/a?b=c", host=f"{HOST}:{port}")
    assert (answer.status, answer["location"]) == (308, f"https://{HOST}:{port}/a?b=c")
    answer = await plainly(port)
    assert answer.status == 400 and "https://" in answer.json["message"]
    assert (await plainly(port, *UPGRADE)).status == 400


async def test_nobody_is_led_to_a_host_that_is_not_the_nodes(node: Node, authority: Authority) -> None:
    node.run()
    node.router.show_certificate(authority.latest)
    answer = await plainly(open_port(node), "Accept: text/html", host="evil.example")
    assert (answer.status, answer["location"]) == (421, "")


async def test_the_authoritys_certificate_is_there_for_everybody(node: Node, authority: Authority) -> None:
    node.run()
    node.router.show_certificate(authority.latest, authority.root)
    answer = await plainly(open_port(node), target=AUTHORITY_PATH.decode(), host="192.0.2.7")
    assert (answer.status, answer["content-type"]) == (200, "application/x-x509-ca-cert")
    assert answer.body == ssl.PEM_cert_to_DER_cert(authority.root)


async def test_ones_own_certificate_has_no_authority_of_the_nodes(node: Node, authority: Authority) -> None:
    node.run()
    node.router.show_certificate(authority.latest)
    assert (await plainly(open_port(node), target=AUTHORITY_PATH.decode(), host=HOST)).status == 400


# -- renewal, and the router's death


async def test_it_is_renewed_under_load_and_no_connection_is_dropped(
    node: Node, authority: Authority
) -> None:
    held = Held()
    await node.service(serve=held)
    await node.service("other", serve=says(200, "x"))
    node.run()
    node.router.show_certificate(authority.latest)
    port, trusting = open_port(node), authority.trusting
    waiting = await connect(port, trusting)
    await waiting.send(request("GET", "/held", host=NAMED))
    await until(lambda: held.waiting)
    seen, over = set(), False

    async def asks() -> None:
        client = await connect(port, trusting)
        while not over:
            await client.send(request("GET", host="other.home.example"))
            assert (await client.answer()).body == b"x"
        await client.close()

    async def comes_and_goes() -> None:
        while not over:
            client = await connect(port, trusting)
            await client.send(request("GET", host="other.home.example"))
            assert (await client.answer()).status == 200
            shown = client.stream.extra(TLSAttribute.peer_certificate_binary)
            seen.add(shown)
            await client.close()

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(asks)
            tasks.start_soon(comes_and_goes)
        shown = []
        for _ in range(5):
            shown.append(serial(authority.latest))
            await until(lambda: shown[-1] in seen)
            node.router.show_certificate(authority.issue())
        over = True
    assert seen >= set(shown)
    held.release()
    assert (await waiting.answer()).body == b"GET /held\n"
    await waiting.close()
    assert node.deaths == []


def test_what_is_no_certificate_leaves_the_old_one(authority: Authority) -> None:
    tls = Tls()
    tls.take(authority.latest)
    other = authority.issue()
    mixed = other[: other.index("-----BEGIN PRIVATE")]
    for broken in ("", mixed, mixed + authority.issue()[-300:]):
        with pytest.raises(OSError):
            tls.take(broken)


async def test_a_router_that_is_killed_speaks_tls_again(node: Node, authority: Authority) -> None:
    await node.service()
    node.run()
    node.router.show_certificate(authority.latest)
    port = open_port(node)
    assert (await ask(port, authority.trusting)).status == 200
    await node.kill()
    assert (await ask(port, authority.trusting)).status == 200
    assert "signal 9" in node.deaths[0]


async def test_nobody_is_served_before_there_is_a_certificate(node: Node, authority: Authority) -> None:
    await node.service()
    node.run()
    port = open_port(node)
    await node.ask()
    await until_published(node)
    answers = []

    async def asks() -> None:
        answers.append(await ask(port, authority.trusting))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asks)
        await anyio.wait_all_tasks_blocked()
        assert answers == []
        node.router.show_certificate(authority.latest)
    assert answers[0].status == 200


# -- who is slow


async def test_slow_handshakes_are_bounded_by_number_and_time(
    world_of_tls: tuple[int, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_listener, "MOST_BEGINNING", 3)
    monkeypatch.setattr(tls_listener, "HANDSHAKE", 0.5)
    port, authority = world_of_tls
    slow = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(3)]
    await slow[0].send(b"\x16\x03\x01")
    await slow[1].send(b"\x16")
    late = await anyio.connect_tcp("127.0.0.1", port)
    assert await Wire(late).rest() == b""
    # In time all of them are let go, and there is room again.
    for each in slow:
        await Wire(each).rest()
        await each.aclose()
    assert (await ask(port, authority.trusting)).status == 200
    await late.aclose()


async def test_who_leaves_in_the_middle_leaves_nothing(world_of_tls: tuple[int, Authority]) -> None:
    port, authority = world_of_tls
    for sent in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01" + b"x" * 200, b"G"):
        for _ in range(20):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                if sent:
                    await stream.send(sent)
    assert (await ask(port, authority.trusting)).status == 200


@pytest.fixture
async def world_of_tls(authority: Authority) -> AsyncIterator[tuple[int, Authority]]:
    """A router in the test's own process."""
    from tests.runtimes.router.harness import World

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    async with World() as world:
        world.replace_plane(domain="home.example")
        await world.service()
        world.plane.take_certificate(authority.latest, "")
        doors = Doors(world.plane, theirs)
        listener = socket.create_server(("127.0.0.1", 0))
        network = b'{"door":"n","network":{"hosts":["pi.local"],"service":"","tls":true,"afterPeople":false}}'
        socket.send_fds(ours, [network], [listener.fileno()])
        yield listener.getsockname()[1], authority
        doors.close()
        listener.close()
        ours.close()
        theirs.close()
