"""Large answers on their way: nobody else waits for them, and what is kept of them is bounded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest

from runtimes.router.carry.piecewise import PIECE
from runtimes.router.carry.upstream import UpstreamConnection
from runtimes.router.decide.table import Export
from runtimes.router.limits import Limits
from runtimes.router.protocol import large
from tests.runtimes.router.harness import ADMIN, API, call, until
from tests.runtimes.router.instances import Held, result
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from runtimes.router.carry.plane import Plane
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
OTHER = "example.com/other"
AS_ADMIN = f"Authorization: Bearer {ADMIN}"


async def answer_at_length(asked: Asked, *, call_id: bytes = b"7", size: int = 8 * MIB) -> None:
    """With empty objects, of which a document takes a hundred times as much."""
    await asked.body()
    items = b"{}," * (size // 3)
    await asked.respond(200, b'{"jsonrpc":"2.0","id":%b,"result":[%b1]}' % (call_id, items))


def post(body: Any, api: str = API) -> bytes:
    return request("POST", f"/_atek/gateway?api={api}", AS_ADMIN, body=orjson.dumps(body))


def at_rest(plane: Plane) -> bool:
    return plane.buffered.used == 0 and plane.metrics.in_flight == 0 and not plane.turns.busy


def uses(world: World, size: int) -> bool:
    return world.plane.buffered.used == size


@pytest.mark.parametrize("call_id", [b"7", b"1"], ids=["wrong id", "right id"])
async def test_other_calls_are_answered_meanwhile(world: World, call_id: bytes) -> None:
    await world.service(
        "big", serve=partial(answer_at_length, call_id=call_id), exports=(Export(OTHER, "/"),)
    )
    await world.service()
    slow, quick = await world.connect(), await world.connect()
    await slow.send(post(call(), OTHER))
    await until(lambda: world.plane.turns.busy)
    for number in range(5):
        await quick.send(post(call(params=[number])))
        assert (await quick.answer()).json["result"] == [number]
    # Still being looked at.
    assert world.plane.turns.busy
    answer = await slow.answer()
    assert (answer.json["id"], len(answer.json["result"])) == (1, 8 * MIB // 3 + 1)
    assert at_rest(world.plane)


async def test_a_slow_reader_gets_it_piece_by_piece(world: World) -> None:
    await world.service(serve=answer_at_length)
    client = await world.connect()
    await client.send(post(call()) + post(call(call_id=2)))
    side = world.only_client
    await until(lambda: side.is_stalled)
    assert side.transport.get_write_buffer_size() < 4 * large.SMALL + MIB // 4
    assert [(await client.answer()).json["id"] for _ in range(2)] == [1, 2]
    assert at_rest(world.plane)


@pytest.mark.parametrize("moment", ["looking", "sending"])
async def test_a_client_that_leaves_leaves_nothing_behind(world: World, moment: str) -> None:
    await world.service(serve=answer_at_length)
    client = await world.connect()
    await client.send(post(call()))
    await until(lambda: world.plane.turns.busy)
    if moment == "sending":
        side = world.only_client
        await until(lambda: side.is_stalled)
    await client.close()
    await until(lambda: not world.plane.clients)
    await until(lambda: at_rest(world.plane))


async def test_a_batch_of_large_answers(world: World) -> None:
    await world.service(serve=partial(answer_at_length, size=MIB))
    calls = [call(call_id=number) for number in range(5)]
    answer = await world.post([*calls, {"jsonrpc": "2.0", "method": "note"}, 5])
    assert [each["id"] for each in answer.json] == [0, 1, 2, 3, 4, None]
    assert [len(each.get("result", [])) for each in answer.json] == [MIB // 3 + 1] * 5 + [0]
    assert at_rest(world.plane)


async def test_what_all_connections_keep_is_bounded(world: World) -> None:
    world.replace_plane(Limits(buffered=3 * MIB))
    held = Held(partial(answer_at_length, size=MIB))
    service = await world.service(serve=held)
    clients = [await world.connect() for _ in range(6)]
    for client in clients:
        await client.send(post(call()))
    await until(lambda: held.waiting == 6)
    held.release()
    answers = [(await client.answer()).json for client in clients]
    assert {"result" in each for each in answers} == {True, False}
    errors = [each["error"] for each in answers if "error" in each]
    assert {each["code"] for each in errors} == {-32000} and "memory" in errors[0]["message"]
    await until(lambda: at_rest(world.plane))
    service.publish(await world.instance("notes"))
    assert "result" in (await world.post(call())).json


async def test_bodies_that_are_gathered_count_too(world: World) -> None:
    world.replace_plane(Limits(buffered=MIB))
    await world.service()
    half = [await world.connect() for _ in range(3)]
    for number, client in enumerate(half, 1):
        head = request("POST", f"/_atek/gateway?api={API}", AS_ADMIN, f"Content-Length: {MIB}")
        await client.send(head + bytes(MIB // 2 - 1))
        await until(partial(uses, world, min(number, 2) * (MIB // 2 - 1)))
    answer = await half[2].answer()
    assert (answer.status, answer.json["error"]["code"]) == (503, -32000)
    for client in half:
        await client.close()
    await until(lambda: not world.plane.clients)
    assert at_rest(world.plane)


async def test_large_calls_are_looked_at_by_turns_too(world: World) -> None:
    await world.service()
    big, quick = await world.connect(), await world.connect()
    params = b"[" + b"{}," * (MIB // 3) + b"1]"
    await big.send(
        request(
            "POST", f"/_atek/gateway?api={API}", AS_ADMIN,
            body=b'[{"jsonrpc":"2.0","id":1,"method":"echo","params":%b}]' % params,
        )
    )  # fmt: skip
    await until(lambda: world.plane.turns.busy)
    await quick.send(post(call(params=[1])))
    assert (await quick.answer()).json["result"] == [1]
    assert world.plane.turns.busy
    (answer,) = (await big.answer()).json
    assert answer["result"] == orjson.loads(params)
    assert at_rest(world.plane)


# -- who may not call is not listened to


@pytest.mark.parametrize("framing", ["Content-Length: 4000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("token", "api", "status"),
    [("wrong", API, 401), (None, API, 401), ("token-of-caller", API, 403), (ADMIN, "example.com/no", 404)],
)
async def test_the_answer_comes_before_the_body(
    world: World, framing: str, token: str | None, api: str, status: int
) -> None:
    service = await world.service()
    await world.service("caller", exports=(), allow=("example.com/other",))
    fields = [framing] if token is None else [framing, f"Authorization: Bearer {token}"]
    client = await world.connect()
    await client.send(request("POST", f"/_atek/gateway?api={api}", *fields))
    answer = await client.answer()
    assert (answer.status, answer["connection"]) == (status, "close")
    assert await client.rest() == b""
    assert service.requests == [] and at_rest(world.plane)


async def test_a_short_body_of_who_may_not_call_is_answered_by_its_id(world: World) -> None:
    await world.service()
    caller = await world.service("caller", exports=(), allow=("example.com/other",))
    body = orjson.dumps(call(call_id=9))
    client = await world.connect()
    await client.send(
        request("POST", f"/_atek/gateway?api={API}", caller.bearer, f"Content-Length: {len(body)}")
    )
    await anyio.lowlevel.checkpoint()
    await client.send(body)
    answer = await client.answer()
    assert (answer.status, answer.json["id"], answer.json["error"]["code"]) == (200, 9, -32000)


async def test_no_more_of_a_large_answer_is_read_at_a_time_than_a_turn_may_take(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its connection is read as any other after that: another answer comes whole."""
    sizes: list[int] = []
    really = UpstreamConnection.data_received

    def data_received(upstream: UpstreamConnection, data: bytes) -> None:
        sizes.append(len(data))
        really(upstream, data)

    monkeypatch.setattr(UpstreamConnection, "data_received", data_received)

    async def serve(asked: Asked) -> None:
        if len(service.requests) == 1:
            await answer_at_length(asked, size=MIB)
            return
        await asked.respond(200, result(orjson.loads(await asked.body()), "a" * 3 * PIECE))

    service = await world.service(serve=serve)
    client = await world.connect()
    await client.send(post(call()))
    assert (await client.answer()).status == 200
    first, *others = sizes
    assert max(others) <= PIECE
    assert first + sum(others) > MIB - 3
    await client.send(post(call()))
    assert (await client.answer()).json["result"] == "a" * 3 * PIECE
    assert service.instances[0].open == 1
    (upstream,) = world.plane.pools[service.instances[0].backend.instance].idle
    assert isinstance(upstream, UpstreamConnection)
    assert upstream._transport.get_protocol() is upstream
