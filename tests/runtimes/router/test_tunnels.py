"""WebSockets: on a service's host and through the gateway, and who may open one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runtimes.router.carry.peer_credentials import leader_of
from runtimes.router.decide.table import Credential, Session
from runtimes.router.limits import Limits
from tests.runtimes.router.harness import API, SOCKET, until
from tests.runtimes.router.instances import Held, says
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Message, Wire

pytestmark = pytest.mark.anyio

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Version: 13")
SWITCHED = (
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n"
)
GATEWAY = f"/_atek/gateway?api={API}"


async def mirror(asked: Asked) -> None:
    """Sends back what comes, until nothing more does; then says goodbye."""
    await asked.send(SWITCHED)
    while data := await asked.some():
        await asked.send(data.upper())
    await asked.send(b"bye")
    await asked.close()


async def opened(
    world: World, target: str, *fields: str, host: str = "localhost", unix: bool = False
) -> Wire:
    client = await world.connect(unix=unix)
    await client.send(request("GET", target, *UPGRADE, *fields, host=host))
    answer = await client.head()
    assert (answer.status, answer["upgrade"], answer["connection"]) == (101, "websocket", "Upgrade"), (
        answer.raw
    )
    assert answer["sec-websocket-accept"] == "a"
    return client


async def refused(world: World, *fields: str, target: str = GATEWAY, unix: bool = False) -> Message:
    client = await world.connect(unix=unix)
    await client.send(request("GET", target, *UPGRADE, *fields))
    return await client.answer()


async def test_a_websocket_on_a_host(world: World) -> None:
    service = await world.service(serve=mirror)
    client = await opened(world, "/chat?room=1", host="notes.localhost")
    for number in range(3):
        await client.send(b"hello %d" % number)
        assert await client.exactly(7) == b"HELLO %d" % number
    got = service.request
    assert (got.target, got["upgrade"], got["connection"]) == ("/chat?room=1", "websocket", "Upgrade")
    assert got["sec-websocket-key"] == "k"


async def test_a_websocket_through_the_gateway_goes_to_the_exporters_path(world: World) -> None:
    service = await world.service(serve=mirror, exports=SOCKET)
    caller = await world.service("caller", exports=(), owner="alice")
    client = await opened(world, GATEWAY, caller.bearer)
    await client.send(b"x")
    assert await client.exactly(1) == b"X"
    got = service.request
    assert (got.target, got["atek-auth-user"], got["authorization"]) == ("/_api/notes", "alice", "")


async def test_what_is_sent_early_is_not_lost(world: World) -> None:
    await world.service(serve=mirror)
    client = await world.connect()
    await client.send(request("GET", "/", *UPGRADE, host="notes.localhost") + b"early")
    assert (await client.head()).status == 101
    assert await client.exactly(5) == b"EARLY"


async def test_each_side_may_stop_sending_first(world: World) -> None:
    await world.service(serve=mirror)
    client = await opened(world, "/", host="notes.localhost")
    await client.send(b"last")
    await client.end()
    assert await client.rest() == b"LASTbye"
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0 and not world.plane.pools["notes-1"].in_flight


async def test_a_service_that_closes_closes_the_client_too(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(SWITCHED + b"and at once")
        await asked.close()

    await world.service(serve=serve)
    client = await opened(world, "/", host="notes.localhost")
    assert await client.rest() == b"and at once"


async def test_a_client_that_vanishes_closes_the_service_too(world: World) -> None:
    service = await world.service(serve=mirror)
    client = await opened(world, "/", host="notes.localhost")
    await client.close()
    await until(lambda: service.instances[0].open == 0)
    assert world.plane.metrics.in_flight == 0


async def test_a_refusal_is_passed_on(world: World) -> None:
    await world.service(serve=says(403, "not you", "X: 1"), exports=SOCKET)
    caller = await world.service("caller", exports=())
    answer = await refused(world, caller.bearer)
    assert (answer.status, answer.text, answer["x"]) == (403, "not you", "1")


TCP = ("Connection: Upgrade", "Upgrade: tcp")
SWITCHED_TO_TCP = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


async def shout(asked: Asked) -> None:
    """As `mirror`, over another protocol, which may begin with a body (Docker's exec does)."""
    body = await asked.body()
    await asked.send(SWITCHED_TO_TCP + body)
    while data := await asked.some():
        await asked.send(data.upper())
    await asked.close()


@pytest.mark.parametrize("body", [None, b"", b"{}"])
async def test_other_protocols_pass(world: World, body: bytes | None) -> None:
    service = await world.service(serve=shout)
    client = await world.connect()
    await client.send(
        request("POST" if body is not None else "GET", "/x", *TCP, host="notes.localhost", body=body)
    )
    answer = await client.head()
    assert (answer.status, answer["upgrade"], answer["connection"]) == (101, "tcp", "Upgrade")
    await client.send(b"hello")
    assert await client.exactly(5 + len(body or b"")) == (body or b"") + b"HELLO"
    assert (service.request["upgrade"], service.request["connection"]) == ("tcp", "Upgrade")
    await client.end()
    assert await client.rest() == b""
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0


async def test_a_service_need_not_switch(world: World) -> None:
    await world.service()
    answer = await world.ask("POST", "/x", *TCP, host="notes.localhost", body=b"abc")
    assert (answer.status, answer.text) == (200, "POST /x\nabc")


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
async def test_a_switch_in_the_middle_of_the_body_is_none(world: World, framing: str) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(SWITCHED_TO_TCP)

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("POST", "/x", *TCP, framing, host="notes.localhost") + b"1\r\n")
    assert (await client.answer()).status == 502


async def test_a_switch_to_another_protocol_than_was_asked_for_is_an_error(world: World) -> None:
    await world.service(serve=shout)
    client = await world.connect()
    await client.send(request("GET", "/x", *UPGRADE, host="notes.localhost"))
    assert (await client.answer()).status == 502


async def test_http_is_not_switched_to(world: World) -> None:
    """What goes through a tunnel is nobody's to look at, and would say who sends it by itself."""
    service = await world.service()
    fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x")
    assert (await world.ask("GET", "/", *fields, host="notes.localhost")).status == 200
    assert service.request.names & {"upgrade", "connection", "http2-settings"} == set()


async def test_a_switch_that_nobody_asked_for_is_an_error(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(SWITCHED)

    await world.service(serve=serve)
    assert (await world.ask(host="notes.localhost")).status == 502


async def test_who_may_open_one_through_the_gateway(world: World) -> None:
    service = await world.service(serve=mirror, exports=SOCKET)
    caller = await world.service("caller", exports=(), allow=("example.com/other",))
    answers = [
        await refused(world),
        await refused(world, "Authorization: Bearer wrong"),
        await refused(world, caller.bearer),
        await refused(
            world, "Authorization: Bearer the-admins-token", target="/_atek/gateway?api=example.com/no"
        ),
    ]
    assert [each.status for each in answers] == [401, 401, 403, 404]
    assert service.requests == []
    world.sign_in({"s1": Session("bob")}, private=False)
    origin = f"Origin: http://localhost:{world.port}"
    assert (await refused(world, "Cookie: session=s1", "Origin: http://evil.localhost")).status == 401
    client = await world.connect()
    fields = (*UPGRADE, "Cookie: session=s1", origin)
    await client.send(request("GET", GATEWAY, *fields, host=f"localhost:{world.port}"))
    assert (await client.head()).status == 101
    assert service.requests[-1]["atek-auth-user"] == "bob"


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_a_program_of_the_nodes_own_needs_no_token(world: World, unix: bool) -> None:
    """This very process stands for a service's: its session is the one that the service's instance leads."""
    service = await world.service(serve=mirror, exports=SOCKET)
    assert (await refused(world, unix=unix)).status == 401
    own = (Credential("its token", os.getsid(0)),)
    await world.service("caller", exports=(), owner="carol", credentials=own)
    client = await opened(world, GATEWAY, unix=unix)
    await client.send(b"x")
    assert await client.exactly(1) == b"X"
    assert service.request["atek-auth-user"] == "carol"
    # A wrong token is not mended by being known.
    assert (await refused(world, "Authorization: Bearer wrong", unix=unix)).status == 401
    await client.close()
    await until(lambda: not service.instances[0].open)


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_a_program_of_the_nodes_own_is_not_anonymous(world: World, unix: bool) -> None:
    """However many anonymous callers come from its address, and however often it comes itself."""
    world.replace_plane(Limits(anonymous=2))
    await world.service(serve=mirror, exports=SOCKET)
    statuses = [(await refused(world, unix=unix)).status for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    own = (Credential("its token", os.getsid(0)),)
    await world.service("caller", exports=(), credentials=own)
    for _ in range(5):
        client = await opened(world, GATEWAY, unix=unix)
        await client.close()
    world.update({"caller": None})
    assert (await refused(world, unix=unix)).status == 429


async def test_a_client_that_leaves_while_it_is_looked_for(world: World) -> None:
    await world.service(serve=mirror, exports=SOCKET)
    await world.service("caller", exports=(), credentials=(Credential("its token", os.getsid(0)),))
    async with world.plane.looking, world.plane.looking:
        client = await world.connect()
        await client.send(request("GET", GATEWAY, *UPGRADE))
        await until(lambda: world.plane.metrics.in_flight)
        await client.close()
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0


def test_the_kernel_says_whose_the_other_end_is() -> None:
    """Of a process in another session, and of nobody's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = f"import socket; s = socket.create_connection(('127.0.0.1', {port})); s.recv(1)"
        with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as child:
            connection, _ = listener.accept()
            with connection:
                assert leader_of(connection, frozenset({child.pid})) == child.pid
                assert leader_of(connection, frozenset({os.getsid(0)})) == os.getsid(0)
                assert leader_of(connection, frozenset()) is None
                connection.send(b"x")
            child.wait()


async def test_a_client_that_stops_sending_before_the_switch_has_stopped_after_it(world: World) -> None:
    held = Held(mirror)
    await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", "/", *UPGRADE, host="notes.localhost") + b"early")
    await until(lambda: held.waiting)
    await client.end()
    router_side = world.only_client
    await until(lambda: router_side.ended)
    held.release()
    assert (await client.head()).status == 101
    assert await client.rest() == b"EARLYbye"
