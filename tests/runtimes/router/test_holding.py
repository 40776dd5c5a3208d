"""Requests to a service that is being switched wait, within bounds, and none of them is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from orjson import dumps

from runtimes.router.decide.table import Session
from runtimes.router.limits import Limits
from tests.runtimes.router.frames import TEXT, echo_messages, frame, read_message
from tests.runtimes.router.harness import ADMIN, API, SOCKET, call, notification, until
from tests.runtimes.router.instances import Held, echo
from tests.runtimes.router.test_slow_clients import swept
from tests.runtimes.router.test_tunnels import UPGRADE
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.wire import Wire

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
GATEWAY = f"/_atek/gateway?api={API}"
AS_ADMIN = f"Authorization: Bearer {ADMIN}"


async def switching(world: World, **more: Any) -> Service:
    """A service whose only instance has left, while the next one is not ready yet."""
    service = await world.service(**more)
    service.publish(awaits="r2")
    return service


async def asking(world: World, raw: bytes) -> Wire:
    """A client that has sent this, and whose request waits."""
    before = world.plane.holding.count
    client = await world.connect()
    await client.send(raw)
    await until(lambda: world.plane.holding.count > before)
    return client


def get(target: str = "/", *fields: str) -> bytes:
    return request("GET", target, *fields, host=HOST)


def post(body: Any) -> bytes:
    return request("POST", GATEWAY, AS_ADMIN, body=dumps(body))


def nothing_waits(world: World) -> bool:
    holding = world.plane.holding
    return (holding.count, holding.size) == (0, 0)


async def test_requests_go_on_once_somebody_is_ready_in_the_order_in_which_they_came(world: World) -> None:
    service = await switching(world)
    clients = [await asking(world, get(f"/{number}")) for number in range(20)]
    new = await world.instance("notes")
    service.publish(new, awaits="")
    for number, client in enumerate(clients):
        assert (await client.answer()).body == f"GET /{number}\n".encode()
    assert nothing_waits(world) and world.plane.metrics.in_flight == 0
    assert [asked.target for asked in new.requests] == [f"/{number}" for number in range(20)]
    # The same heads are led to it at once from now on.
    await clients[0].send(get("/0"))
    assert (await clients[0].answer()).status == 200


async def test_calls_wait_too_whatever_they_look_like(world: World) -> None:
    service = await switching(world)
    one = await asking(world, post(call(params=[1])))
    batch = await asking(world, post([call(call_id=number, params=[number]) for number in range(3)]))
    silent = await asking(world, post(notification()))
    service.publish(await world.instance("notes"), awaits="")
    assert (await one.answer()).json["result"] == [1]
    assert [each["result"] for each in (await batch.answer()).json] == [[0], [1], [2]]
    assert (await silent.answer()).status == 204
    assert nothing_waits(world) and world.plane.metrics.in_flight == 0


async def test_the_rest_of_a_batch_waits(world: World) -> None:
    """Its first calls were answered by the instance that leaves."""
    held = Held()
    service = await world.service(serve=held)
    client = await world.connect()
    await client.send(post([call(call_id=number) for number in range(40)]))
    await until(lambda: held.waiting == 32)
    service.publish(awaits="r2")
    held.release()
    await until(lambda: world.plane.holding.count == 8)
    service.publish(await world.instance("notes"), awaits="")
    assert ["result" in each for each in (await client.answer()).json] == [True] * 40
    assert nothing_waits(world)


async def test_a_call_whose_body_came_meanwhile_waits(world: World) -> None:
    service = await world.service()
    body = dumps(call(params=[1]))
    client = await world.connect()
    await client.send(request("POST", GATEWAY, AS_ADMIN, f"Content-Length: {len(body)}"))
    await until(lambda: world.plane.sending)
    service.publish(awaits="r2")
    await client.send(body)
    await until(lambda: world.plane.holding.count)
    service.publish(await world.instance("notes"), awaits="")
    assert (await client.answer()).json["result"] == [1]


async def test_a_websocket_opens_once_somebody_is_ready(world: World) -> None:
    service = await switching(world, exports=SOCKET)
    by_host = await asking(world, get("/", *UPGRADE) + frame(TEXT, b"early", masked=True))
    by_api = await asking(world, request("GET", GATEWAY, *UPGRADE, AS_ADMIN))
    service.publish(await world.instance("notes", echo_messages, exports=SOCKET), awaits="")
    for client in (by_host, by_api):
        assert (await client.head()).status == 101
    assert await read_message(by_host) == (TEXT, b"early")


@pytest.mark.parametrize("framing", ["length", "chunked", "expected"])
async def test_a_body_is_not_read_meanwhile(world: World, framing: str) -> None:
    """More than a piece of it, which comes with the head: the client waits as it does for a slow reader."""
    size = 32 * 1024 * 1024
    service = await switching(world)
    head = {
        "length": get("/up", f"Content-Length: {size}"),
        "chunked": get("/up", "Transfer-Encoding: chunked") + b"%x\r\n" % size,
        "expected": get("/up", f"Content-Length: {size}", "Expect: 100-continue"),
    }[framing].replace(b"GET", b"PUT", 1)
    client = await asking(world, head)
    if framing == "expected":
        service.publish(await world.instance("notes"), awaits="")
        assert (await client.head()).status == 100
        await client.send(bytes(size))
    else:
        world.start(client.send, bytes(size) + (b"\r\n0\r\n\r\n" if framing == "chunked" else b""))
        side = world.only_client
        await until(lambda: side.is_paused)
        assert world.plane.holding.size < 1024 * 1024
        service.publish(await world.instance("notes"), awaits="")
    assert len((await client.answer()).body) == size + len("PUT /up\n")
    assert nothing_waits(world)


async def test_a_short_body_in_pieces_is_kept(world: World) -> None:
    service = await switching(world)
    client = await asking(world, get("/up", "Content-Length: 6").replace(b"GET", b"PUT", 1) + b"abc")
    await client.send(b"de")
    before = world.plane.holding.size
    await until(lambda: world.plane.holding.size >= before)
    service.publish(await world.instance("notes"), awaits="")
    await client.send(b"f")
    assert (await client.answer()).body == b"PUT /up\nabcdef"


# -- when nobody comes


async def test_a_wait_has_an_end(world: World) -> None:
    world.replace_plane(Limits(holding=0.1))
    await switching(world)
    page, one = await asking(world, get()), await asking(world, post(call()))
    await swept(world, lambda: nothing_waits(world))
    answer = await page.answer()
    assert (answer.status, answer["retry-after"]) == (503, "1")
    assert (await one.answer()).json["error"]["code"] == -32601
    # The time is the service's: who comes later does not begin it anew.
    assert (await world.ask(host=HOST)).status == 503
    assert (await world.post(call())).json["error"]["code"] == -32601


async def test_another_revision_has_its_own_time(world: World) -> None:
    """What served before comes back for one that was rejected."""
    world.replace_plane(Limits(holding=0.1))
    service = await switching(world)
    late = await asking(world, get())
    await swept(world, lambda: nothing_waits(world))
    assert (await late.answer()).status == 503
    service.publish(awaits="r1")
    client = await asking(world, get())
    service.publish(await world.instance("notes"), awaits="")
    assert (await client.answer()).status == 200


async def test_after_a_crash_it_is_short(world: World) -> None:
    world.replace_plane(Limits(holding=1000, replacing=0.05))
    service = await world.service()
    service.publish(awaits="r1", after_crash=True)
    client = await asking(world, get())
    await swept(world, lambda: nothing_waits(world))
    assert (await client.answer()).status == 503


async def test_who_is_given_up_answers_at_once(world: World) -> None:
    service = await switching(world)
    clients = [await asking(world, get()), await asking(world, post(call()))]
    service.publish(awaits="")
    assert (await clients[0].answer()).status == 503
    assert "error" in (await clients[1].answer()).json
    assert (await world.ask(host=HOST)).status == 503


async def test_a_service_that_is_gone_is_not_found(world: World) -> None:
    await switching(world)
    client = await asking(world, get())
    world.update({"notes": None})
    assert (await client.answer()).status == 404


async def test_a_node_that_ends_makes_nobody_wait(world: World) -> None:
    await switching(world)
    client = await asking(world, get())
    ended = world.plane.end()
    answer = await client.answer()
    assert (answer.status, answer["connection"]) == (503, "close")
    await ended.wait()
    assert (await world.ask(host=HOST)).status == 503


# -- bounds


@pytest.mark.parametrize(
    "limits",
    [Limits(held_by_service=2), Limits(held=2), Limits(held_bytes=3 * len(get()) - 1), Limits(holding=0)],
)
async def test_no_more_wait_than_may(world: World, limits: Limits) -> None:
    world.replace_plane(limits)
    service = await switching(world)
    waiting = [] if not limits.holding else [await asking(world, get()) for _ in range(2)]
    answer = await world.ask(host=HOST)
    assert (answer.status, answer["retry-after"]) == (503, "1")
    service.publish(await world.instance("notes"), awaits="")
    assert [(await client.answer()).status for client in waiting] == [200] * len(waiting)


async def test_a_body_that_is_too_much_is_refused(world: World) -> None:
    world.replace_plane(Limits(held_bytes=1000))
    await switching(world)
    assert (await world.ask("PUT", "/", host=HOST, body=bytes(2000))).status == 503
    assert nothing_waits(world)


@pytest.mark.parametrize("raw", [get(), post(call()), get("/", "Content-Length: 1000000") + bytes(100_000)])
async def test_a_client_that_leaves_frees_its_place(world: World, raw: bytes) -> None:
    """Also where nothing is read of it any more."""
    service = await switching(world)
    client = await asking(world, raw)
    await client.close()
    await swept(world, lambda: nothing_waits(world))
    await until(lambda: not world.plane.clients)
    assert world.plane.metrics.in_flight == 0
    new = await world.instance("notes")
    service.publish(new, awaits="")
    assert (await world.ask(host=HOST)).status == 200
    assert len(new.requests) == 1


async def test_who_waits_for_one_service_is_not_in_anothers_way(world: World) -> None:
    await switching(world)
    await world.service("other", exports=())
    await asking(world, get())
    assert (await world.ask(host="other.localhost")).status == 200


# -- rights are those of the moment


async def test_whose_session_ended_meanwhile_is_not_let_in(world: World) -> None:
    service = await switching(world)
    world.sign_in({"s1": Session("bob", role="admin")}, private=True)
    client = await asking(world, get("/", service.cookie("s1")))
    world.sign_in({}, private=True)
    service.publish(await world.instance("notes"), awaits="")
    assert (await client.answer()).status == 401


async def test_who_may_not_call_does_not_wait(world: World) -> None:
    await switching(world)
    caller = await world.service("caller", exports=(), allow=("example.com/other",))
    assert (await world.post(call(), token=caller.token)).json["error"]["code"] == -32000
    assert (await world.post(call(), token="wrong")).status == 401
    assert nothing_waits(world)


async def test_a_caller_whose_instance_ended_meanwhile_is_nobody(world: World) -> None:
    service = await switching(world)
    caller = await world.service("caller", exports=())
    raw = request("POST", GATEWAY, caller.bearer, body=dumps(call()))
    client = await asking(world, raw)
    world.update({"caller": None})
    service.publish(await world.instance("notes", echo), awaits="")
    assert (await client.answer()).status == 401
