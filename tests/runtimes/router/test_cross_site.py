"""Pages of other sites at a router: what reaches a service, and what they get of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtimes.router.harness import SOCKET
from tests.runtimes.router.instances import says, sends
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio

EVIL = "Origin: http://evil.example"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Version: 13")
PREFLIGHT = "Access-Control-Request-Method: PUT"
FRAMING = "frame-ancestors 'self'"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("POST", (EVIL,)),
        ("POST", ("Sec-Fetch-Site: same-site",)),
        ("PUT", ("Sec-Fetch-Site: cross-site", EVIL)),
        ("GET", (EVIL, *UPGRADE)),
        ("OPTIONS", (EVIL, PREFLIGHT)),
    ],
)
async def test_what_a_manifest_says_of_other_sites_applies_at_once(
    world: World, method: str, fields: tuple[str, ...]
) -> None:
    service = await world.service(exports=())
    client = await world.connect()
    for cross_site, status in ((False, 403), (True, 200), (False, 403)):
        service.publish(*service.instances, cross_site=cross_site)
        await client.send(
            request(method, "/", *fields, host=service.host, body=b"" if method != "GET" else None)
        )
        answer = await client.answer()
        assert (answer.status, "access-control-allow-origin" in answer.names) == (status, False)
    assert len(service.requests) == 1


async def test_a_page_that_is_refused_sends_its_body_in_vain_and_the_connection_goes_on(world: World) -> None:
    service = await world.service()
    client = await world.connect()
    await client.send(request("POST", "/", EVIL, host=service.host, body=b"x" * 1000))
    assert (await client.answer()).status == 403
    await client.send(request("POST", "/", f"Origin: http://{service.host}", host=service.host, body=b"y"))
    assert (await client.answer()).body == b"POST /\ny"
    assert service.request.body == b"y"


async def test_an_answer_is_the_readers(world: World) -> None:
    """The same answer, one after another on one connection to the instance."""
    fields = ("Set-Cookie: a=1; Domain=home.example", "Access-Control-Allow-Origin: *")
    service = await world.service(serve=says(200, "hello", *fields))
    for _ in range(2):
        for cross_site in (False, True):
            service.publish(*service.instances, cross_site=cross_site)
            for said in ("Sec-Fetch-Site: same-origin", EVIL, "X-A: 1"):
                answer = await world.ask("GET", "/", said, host=service.host)
                assert (answer.status, answer.body, answer["set-cookie"]) == (200, b"hello", "a=1")
                readable = cross_site or said != EVIL
                assert answer["access-control-allow-origin"] == ("*" if readable else "")
                assert answer["content-security-policy"] == ("" if cross_site else FRAMING)
    assert service.instances[0].connections == 1


async def test_a_websockets_answer_sets_cookies_for_its_own_host_only(world: World) -> None:
    """At the gateway that host is the node's."""
    raw = SWITCHED + b"Set-Cookie: session=eve; Domain=localhost\r\nSet-Cookie: b=2\r\n\r\n"
    service = await world.service(serve=sends(raw), exports=SOCKET)
    client = await world.connect()
    await client.send(request("GET", "/", *UPGRADE, host=service.host))
    head = await client.head()
    assert [value for name, value in head.fields if name == "set-cookie"] == ["session=eve", "b=2"]
    client = await world.connect()
    await client.send(request("GET", "/_atek/gateway?api=example.com/notes", *UPGRADE, service.bearer))
    head = await client.head()
    assert head.status == 101 and "set-cookie" not in head.names


async def test_so_does_an_interim_answer(world: World) -> None:
    raw = (
        b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=1;DOMAIN=localhost\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    )
    service = await world.service(serve=sends(raw))
    client = await world.connect()
    await client.send(request("GET", "/", host=service.host))
    assert (await client.head())["set-cookie"] == "a=1"
    assert (await client.head()).status == 204


async def test_nobody_is_who_another_schemes_field_says(world: World) -> None:
    service = await world.service(exports=SOCKET)
    lies = ("Remote-User: admin", "X_Forwarded_User: admin", "Proxy: http://evil.example")
    await world.ask("GET", "/", *lies, host=service.host)
    await world.ask("GET", "/", *lies, service.bearer, host=service.host)
    await world.ask("GET", "/_atek/gateway?api=example.com/notes", *UPGRADE, *lies, service.bearer)
    assert len(service.requests) == 3
    for reached in service.requests:
        assert "admin" not in reached.raw.decode() and "evil" not in reached.raw.decode()
