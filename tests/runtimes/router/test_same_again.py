"""The same head once more, on a connection that is kept: a short cut, which may lead nowhere else."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from runtimes.router.carry.request_ids import request_ids
from tests.runtimes.router.harness import ADMIN, API, call, until
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
GET, HEAD = request("GET", "/", host=HOST), request("HEAD", "/", host=HOST)
CALL = b'{"jsonrpc":"2.0","id":1,"method":"m","params":[]}'


def post(token: str, body: bytes = CALL) -> bytes:
    return request("POST", f"/_atek/gateway?api={API}", f"Authorization: Bearer {token}", body=body)


async def test_a_token_that_is_gone_opens_nothing_to_the_same_head_either(world: World) -> None:
    service = await world.service()
    client = await world.connect()
    for _ in range(3):
        await client.send(post("token-of-notes"))
        assert (await client.answer()).json["result"] is not None
    world.update({"notes": replace(service.route, credentials=())})
    await client.send(post("token-of-notes"))
    assert (await client.answer()).status == 401


async def test_the_same_head_goes_where_the_service_is_now(world: World) -> None:
    async def old(asked: Asked) -> None:
        await asked.respond(200, b"old")

    async def new(asked: Asked) -> None:
        await asked.respond(200, b"new")

    service = await world.service(serve=old)
    client = await world.connect()
    answers = []
    for _ in range(2):
        await client.send(GET)
        answers.append((await client.answer()).body)
    service.publish(await world.instance("notes", new))
    await client.send(GET)
    assert [*answers, (await client.answer()).body] == [b"old", b"old", b"new"]


async def test_the_same_answer_to_head_has_no_body(world: World) -> None:
    """And to GET it has one, also where it comes later than the head."""
    body_may_come = anyio.Event()

    async def serve(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        if asked.request.method == "GET":
            await body_may_come.wait()
            await asked.send(b"four")

    service = await world.service(serve=serve)
    client = await world.connect()
    for _ in range(3):
        await client.send(HEAD)
        assert (await client.answer(to="HEAD"))["content-length"] == "4"
    await client.send(GET)
    assert (await client.head())["content-length"] == "4"
    body_may_come.set()
    assert await client.exactly(4) == b"four"
    for method, sent in [("GET", GET), ("HEAD", HEAD), ("GET", GET)]:
        await client.send(sent)
        assert (await client.answer(to=method)).body == (b"four" if method == "GET" else b"")
    assert {visit.connection for visit in service.instances[0].visits} == {1}


async def test_an_answer_that_is_cut_before_its_last_line_is_not_taken_for_the_known_one(
    world: World,
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0"

    async def serve(asked: Asked) -> None:
        await asked.send(head)
        if asked.request.target == "/more":
            # The router has its turns to misunderstand.
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            await asked.send(b"\r\nX-More: yes")
        await asked.send(b"\r\n\r\n")

    await world.service(serve=serve)
    client = await world.connect()
    for target, more in [("/", ""), ("/", ""), ("/more", "yes"), ("/", "")]:
        await client.send(request("GET", target, host=HOST))
        assert (await client.answer())["x-more"] == more


async def test_the_same_head_with_its_body_in_pieces_or_with_more_behind_it(world: World) -> None:
    service = await world.service()
    client = await world.connect()
    whole = post(ADMIN)
    for _ in range(2):
        await client.send(whole)
        assert (await client.answer()).status == 200
    await client.send(whole[:-10])
    await client.send(whole[-10:] + whole + whole)
    assert [(await client.answer()).json["id"] for _ in range(3)] == [1, 1, 1]
    assert [asked["method"] for asked in service.instances[0].calls] == ["m"] * 5


async def test_a_head_that_is_cut_before_its_last_line_is_not_taken_for_the_known_one(world: World) -> None:
    service = await world.service()
    client = await world.connect()
    await client.send(GET)
    await client.answer()
    await client.send(GET[:-4])
    await client.send(b"\r\nX-More: yes\r\n\r\n")
    await client.answer()
    assert [each["x-more"] for each in service.instances[0].requests] == ["", "yes"]


async def test_a_call_that_is_shorter_than_the_one_before_says_its_own_length(world: World) -> None:
    service = await world.service()
    client = await world.connect()
    for body in (CALL, CALL.replace(b'"m"', b'"mm"'), b'{"jsonrpc":"2.0","id":1,"method":"m"}'):
        await client.send(post(ADMIN, body))
        assert (await client.answer()).status == 200
    for each in service.instances[0].requests:
        assert int(each["content-length"]) == len(each.body)
    assert service.instances[0].calls[2] == {**call("m"), "params": []}


def test_no_two_names_of_requests_are_equal() -> None:
    names = list(islice(request_ids(), 1000))
    assert len(set(names)) == 1000 and {len(name) for name in names} == {16}
    assert names[0][:8] != next(request_ids())[:8]


# -- what a connection to an instance has to be tidied up after, however well the answer is known


@pytest.mark.parametrize("end", ["retired", "drained"])
async def test_a_known_answer_is_the_last_one_of_an_instance_that_is_let_go(world: World, end: str) -> None:
    may_answer = anyio.Event()

    async def serve(asked: Asked) -> None:
        if asked.request.target == "/held":
            await may_answer.wait()
        await asked.respond(200, b"four")

    service = await world.service(serve=serve)
    client = await world.connect()
    for target in ("/", "/", "/held"):
        await client.send(request("GET", target, host=HOST))
        if target == "/":
            await client.answer()
    await until(lambda: len(service.requests) == 3)
    pool = world.plane.pools["notes-1"]
    if end == "retired":
        world.update({"notes": None})
    drained = pool.drained(hurry=False) if end == "drained" else None
    may_answer.set()
    assert (await client.answer()).body == b"four"
    if drained is None:
        assert pool.idle == []
        await until(lambda: not service.instances[0].open)
    else:
        await until(drained.is_set)


async def test_a_known_answer_before_the_end_of_the_request_ends_its_connection(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.respond(200, b"four")

    service = await world.service(serve=serve)
    client = await world.connect()
    for _ in range(2):
        await client.send(GET)
        await client.answer()
    await client.send(request("POST", "/", "Content-Length: 8", host=HOST) + b"half")
    assert (await client.answer())["connection"] == "close"
    await until(lambda: not service.instances[0].open)
    assert world.plane.pools["notes-1"].idle == []


async def test_a_known_answer_says_how_long_this_connection_is_kept_too(world: World) -> None:
    async def serve(asked: Asked) -> None:
        await asked.respond(200, b"four", "Keep-Alive: timeout=2")

    await world.service(serve=serve)
    pool_of = world.plane.pools
    for _ in range(2):
        await world.ask(host=HOST)
        (upstream,) = pool_of["notes-1"].idle
        assert upstream.keep_for == 1.0
        upstream.close()
        pool_of["notes-1"].idle.clear()
