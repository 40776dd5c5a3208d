"""A service's host name: all methods, paths and bodies, both ways, as HTTP says."""

from __future__ import annotations

import hashlib
import socket
import struct
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.abc import SocketAttribute

from runtimes.router.decide.table import Session
from tests.runtimes.router.harness import call, until
from tests.runtimes.router.instances import Held, says, sends
from tests.runtimes.router.wire import chunks, request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio


HOST = "notes.localhost"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
async def test_all_methods_and_paths_go_to_the_service(world: World, method: str, tcp: bool) -> None:
    service = await world.service(tcp=tcp)
    answer = await world.ask(method, "/_atek/gateway?a=%20b&c", "X: 1", host=HOST, body=b"hi")
    assert (answer.status, answer.body) == (200, f"{method} /_atek/gateway?a=%20b&c\nhi".encode())
    got = service.request
    assert (got["host"], got["x"], got["content-length"]) == (HOST, "1", "2")
    assert (got["x-forwarded-for"], got["x-forwarded-host"], got["x-forwarded-proto"]) == (
        "127.0.0.1",
        HOST,
        "http",
    )


@pytest.mark.parametrize(
    "host", ["notes.localhost", "NOTES.LocalHost:2835", "notes.localhost.", "notes.localhost:"]
)
async def test_the_host_is_a_name_whatever_its_case_and_port(world: World, host: str) -> None:
    await world.service()
    assert (await world.ask(host=host)).status == 200


async def test_a_domain_of_ones_own(world: World) -> None:
    world.replace_plane(domain="home.example")
    await world.service()
    assert (await world.ask(host="notes.home.example")).status == 200
    assert (await world.ask(host=HOST)).status == 200
    assert (await world.ask("GET", "/x", host="home.example")).status == 404


async def test_an_unknown_name_has_no_service(world: World) -> None:
    answer = await world.ask(host="nothing.localhost:1")
    assert (answer.status, answer.text) == (
        404, "Not found: no service is currently hosted at nothing.localhost:1",
    )  # fmt: skip
    head = await world.ask("HEAD", host="nothing.localhost")
    assert head.status == 404 and head.body == b""


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:2835", "169.254.1.1", "notes"])
async def test_foreign_names_lead_nowhere(world: World, host: str) -> None:
    service = await world.service()
    assert (await world.ask("GET", "/livez", host=host)).status == 421
    assert service.requests == []


async def test_a_service_that_is_not_ready_says_so(world: World) -> None:
    service = await world.service()
    service.publish()
    answer = await world.ask(host=HOST)
    assert (answer.status, answer["retry-after"]) == (503, "1")
    assert answer.json == {"error": True, "message": "notes is not ready"}


async def test_head_has_no_body_and_keeps_its_length(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")

    await world.service(serve=serve)
    client = await world.connect()
    for _ in range(2):
        await client.send(request("HEAD", host=HOST))
        answer = await client.answer(to="HEAD")
        assert (answer.status, answer["content-length"]) == (200, "12")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end_with_their_head(world: World, status: int) -> None:
    await world.service(serve=sends(f"HTTP/1.1 {status} X\r\nETag: x\r\n\r\n".encode()))
    client = await world.connect()
    for _ in range(2):
        await client.send(request("GET", host=HOST))
        answer = await client.answer()
        assert (answer.status, answer["etag"], answer["transfer-encoding"]) == (status, "x", "")


async def test_chunks_go_both_ways_and_trailers_stay_behind(world: World) -> None:
    async def serve(asked: Asked) -> None:
        body = await asked.body()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
        await asked.send(head + chunks(b"you said ", body)[:-2] + b"X: trailer\r\n\r\n")

    service = await world.service(serve=serve)
    client = await world.connect()
    head = request("POST", "/", "Transfer-Encoding: chunked", "Trailer: Y", host=HOST)
    await client.send(head + b"3;ext=1\r\nabc\r\n" + b"2\r\nde\r\n0\r\nY: trailer\r\n\r\n")
    answer = await client.answer()
    assert (answer.body, answer["transfer-encoding"], answer["trailer"]) == (b"you said abcde", "chunked", "")
    assert service.request["transfer-encoding"] == "chunked" and service.request["trailer"] == ""
    await client.send(request("GET", host=HOST))
    assert (await client.answer()).body == b"you said "


async def test_an_answer_that_ends_with_its_connection_becomes_chunks(world: World) -> None:
    await world.service(
        serve=sends(b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nall of it", then_close=True)
    )
    client = await world.connect()
    for _ in range(2):
        await client.send(request("GET", host=HOST))
        answer = await client.answer()
        assert (answer.body, answer["transfer-encoding"]) == (b"all of it", "chunked")


async def test_http_1_0_gets_no_chunks(world: World) -> None:
    await world.service(
        serve=sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"a", b"b"))
    )
    client = await world.connect()
    await client.send(request("GET", "/", "Connection: keep-alive", host=HOST, version="1.0"))
    answer = await client.answer()
    assert (answer.body, answer["transfer-encoding"], answer["connection"]) == (b"ab", "", "close")


async def test_http_1_0_keeps_its_connection_if_it_asks(world: World) -> None:
    await world.service()
    client = await world.connect()
    for _ in range(2):
        await client.send(request("GET", "/", "Connection: keep-alive", host=HOST, version="1.0"))
        assert (await client.answer())["connection"] == "keep-alive"
    await client.send(request("GET", "/", host=HOST, version="1.0"))
    assert (await client.answer())["connection"] == "close"
    assert await client.rest() == b""


async def test_a_client_that_closes_is_told_so(world: World) -> None:
    await world.service()
    client = await world.connect()
    await client.send(request("GET", "/", "Connection: close", host=HOST))
    assert (await client.answer())["connection"] == "close"
    assert await client.rest() == b""


async def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    client = await world.connect()
    await client.send(b"".join(request("GET", f"/{number}", host=HOST) for number in range(5)))
    for number in range(5):
        await until(lambda: held.waiting == 1)
        # The next one is not even asked before this one is answered.
        assert [each.target for each in service.requests] == [f"/{each}" for each in range(number + 1)]
        held.release()
        assert (await client.answer()).body == f"GET /{number}\n".encode()


async def test_connections_to_an_instance_are_used_again(world: World) -> None:
    service = await world.service()
    for _ in range(5):
        await world.ask(host=HOST)
    assert [visit.connection for visit in service.instances[0].visits] == [1] * 5


async def test_a_client_that_expects_100_gets_it_and_may_go_on(world: World) -> None:
    service = await world.service()
    client = await world.connect()
    await client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 5", host=HOST))
    assert (await client.head()).status == 100
    await client.send(b"hello")
    assert (await client.answer()).body == b"POST /\nhello"
    assert service.request["expect"] == ""


async def test_who_is_refused_is_not_asked_for_a_body(world: World) -> None:
    client = await world.connect()
    await client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 5", host="no.localhost"))
    answer = await client.answer()
    assert (answer.status, answer["connection"]) == (404, "close")


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + HINTS
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_interim_answers_go_before_the_answer(world: World) -> None:
    """But 100: whether to go on with a body was between the client and the router."""
    await world.service(serve=sends(INTERIM + OK))
    client = await world.connect()
    for _ in range(2):
        await client.send(request("GET", host=HOST))
        assert [(await client.head()).status, (await client.head()).raw] == [102, HINTS]
        assert (await client.answer()).body == b"ok"


async def test_early_hints_arrive_early(world: World) -> None:
    more = anyio.Event()

    async def serve(asked: Asked) -> None:
        await asked.send(
            HINTS.replace(b"\r\n\r\n", b"\r\nConnection: x\r\nX: 1\r\nContent-Length: 5\r\n\r\n")
        )
        await more.wait()
        await asked.send(OK)

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    assert (await client.head()).raw == HINTS
    more.set()
    assert (await client.answer()).body == b"ok"


async def test_http_1_0_and_calls_know_no_interim_answers(world: World) -> None:
    await world.service(serve=sends(INTERIM + OK))
    client = await world.connect()
    await client.send(request("GET", host=HOST, version="1.0"))
    assert (await client.answer()).body == b"ok"
    assert (await world.post(call())).json["error"]["code"] == -32700


async def test_events_arrive_one_by_one(world: World) -> None:
    more = anyio.Event()

    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await more.wait()
        await asked.send(b"data: 2\n\n")
        await asked.close()

    await world.service(serve=serve)
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    assert (await client.head())["content-type"] == "text/event-stream"
    assert await client.chunk() == b"data: 1\n\n"
    more.set()
    assert [await client.chunk(), await client.chunk()] == [b"data: 2\n\n", b""]


async def test_a_client_that_sends_nothing_more_still_gets_its_answer(world: World) -> None:
    held = Held()
    await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", "/x", host=HOST))
    await until(lambda: held.waiting)
    await client.end()
    await anyio.lowlevel.checkpoint()
    held.release()
    assert (await client.answer()).body == b"GET /x\n"
    assert await client.rest() == b""


async def test_a_client_that_leaves_takes_its_request_with_it(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    await until(lambda: held.waiting)
    # Without this it would only say that it sends nothing more, and its answer would be awaited.
    linger = struct.pack("ii", 1, 0)
    client.stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    await client.close()
    pool = world.plane.pools["notes-1"]
    await until(lambda: not pool.in_flight and not world.plane.clients)
    assert world.plane.metrics.in_flight == 0
    assert len(service.requests) == 1


async def test_large_bodies_arrive_as_they_were_sent(world: World) -> None:
    data = bytes(range(256)) * 40_000

    async def serve(asked: Asked) -> None:
        body = await asked.body()
        await asked.respond(200, hashlib.sha256(body).digest() + body)

    await world.service(serve=serve)
    answer = await world.ask("PUT", host=HOST, body=data)
    assert answer.body == hashlib.sha256(data).digest() + data


async def test_a_nodes_token_does_not_reach_a_service_but_its_own_does(world: World) -> None:
    service = await world.service()
    caller = await world.service("caller", exports=(), owner="alice")
    await world.ask("GET", "/", caller.bearer, host=HOST)
    await world.ask("GET", "/", "Authorization: Bearer the-services-own", host=HOST)
    await world.ask("GET", "/", "Authorization: Basic dTpw", host=HOST)
    first, second, third = service.requests
    assert (first["authorization"], first["atek-auth-user"]) == ("", "alice")
    assert first["atek-auth-service"] == "key-of-caller"
    assert (second["authorization"], second["atek-auth-user"]) == ("Bearer the-services-own", "")
    assert third["authorization"] == "Basic dTpw"


async def test_a_session_does_not_reach_a_service(world: World) -> None:
    service = await world.service()
    world.sign_in({"s1": Session("bob")}, private=False)
    await world.ask("GET", "/", f"{service.cookie('s1')}; a=1; session=s1; b=2", host=HOST)
    await world.ask("GET", "/", "Cookie: session=other; c=3", host=HOST)
    first, second = service.requests
    assert (first["cookie"], first["atek-auth-user"]) == ("a=1; b=2", "bob")
    assert (second["cookie"], second["atek-auth-user"]) == ("session=other; c=3", "")


async def test_proxies_that_are_known_are_believed(world: World) -> None:
    service = await world.service()
    await world.ask("GET", "/", "X-Forwarded-For: 1.2.3.4", host=HOST)
    world.replace_plane(trusted_proxies=["127.0.0.1"])
    world.plane.update({"notes": service.route})
    await world.ask("GET", "/", "X-Forwarded-For: 1.2.3.4", host=HOST)
    assert [each["x-forwarded-for"] for each in service.requests] == ["127.0.0.1", "1.2.3.4, 127.0.0.1"]


async def test_only_a_proxy_that_is_known_says_that_it_was_https(world: World) -> None:
    service = await world.service()
    await world.ask("GET", "/", "X-Forwarded-Proto: https", host=HOST)
    world.replace_plane(trusted_proxies=["127.0.0.1"])
    world.plane.update({"notes": service.route})
    await world.ask("GET", "/", "X-Forwarded-Proto: https", host=HOST)
    await world.ask("GET", "/", "X-Forwarded-Proto: HTTPS", "X-Forwarded-For: 1.2.3.4", host=HOST)
    await world.ask("GET", "/", "X-Forwarded-Proto: gopher", host=HOST)
    await world.ask("GET", "/", host=HOST)
    told = [(each["x-forwarded-proto"], each["x-forwarded-for"]) for each in service.requests]
    one = "127.0.0.1"
    assert told == [("http", one), ("https", one), ("https", f"1.2.3.4, {one}"), ("http", one), ("http", one)]


async def test_the_request_id_of_a_client_is_kept_and_others_get_one(world: World) -> None:
    service = await world.service(serve=says(200))
    await world.ask("GET", "/", "X-Request-Id: mine", "traceparent: 00-1-2-03", host=HOST)
    await world.ask(host=HOST)
    await world.ask(host=HOST)
    ids = [each["x-request-id"] for each in service.requests]
    assert ids[0] == "mine" and len(set(ids)) == 3 and all(ids)
    assert service.requests[0]["traceparent"] == "00-1-2-03"


@pytest.mark.parametrize("target", ["/", "/_atek/gateway?api=example.com/notes"])
async def test_http_1_0_without_a_host_is_for_the_node_itself(world: World, target: str) -> None:
    service = await world.service()
    client = await world.connect()
    await client.send(f"GET {target} HTTP/1.0\r\n\r\n".encode())
    assert (await client.answer()).status in (401, 404)
    assert await client.rest() == b""
    assert service.requests == []


async def test_an_answer_in_chunks_has_no_body_for_head_either(world: World) -> None:
    await world.service(serve=sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n"))
    client = await world.connect()
    for _ in range(2):
        await client.send(request("HEAD", host=HOST))
        answer = await client.answer(to="HEAD")
        assert (answer.status, answer["x"]) == (200, "1")


@pytest.mark.parametrize("method", ["PROPFIND", "invented", "M-SEARCH"])
async def test_any_token_is_a_method(world: World, method: str) -> None:
    await world.service()
    answer = await world.ask(method, "/dav/", host=HOST, body=b"<a/>")
    assert answer.body == f"{method} /dav/\n<a/>".encode()


async def test_a_whole_url_says_which_service(world: World) -> None:
    service = await world.service()
    client = await world.connect()
    for _ in range(2):
        await client.send(request("GET", f"http://{service.host}/a?b", host="elsewhere.example"))
        assert (await client.answer()).body == b"GET /a?b\n"
    got = service.requests[0]
    assert (got["host"], got["x-forwarded-host"]) == (service.host, service.host)
    await client.send(request("GET", "http://elsewhere.example/", host=service.host))
    assert (await client.answer()).status == 421


async def test_options_may_be_for_the_whole_server(world: World) -> None:
    await world.service()
    assert (await world.ask("OPTIONS", "*", host=HOST)).body == b"OPTIONS *\n"
