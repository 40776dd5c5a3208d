"""A hostile service is somebody else, stays what it was, or is shown what it may not see."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from reconciler.state.tokens import new_token
from runtimes.router.carry import known_peer, plane, proxying
from runtimes.router.decide import access, passed_fields, table
from runtimes.router.decide.table import Session
from runtimes.router.protocol import fields
from tests.runtimes.router.attacks import (
    GATEWAY,
    HOST,
    OWN,
    TOKEN,
    Attacks,
    hostile,
    node,
    reached,
    visits,
    without,
)
from tests.runtimes.router.frames import TEXT, echo_messages, frame, read_message
from tests.runtimes.router.harness import ADMIN, API, SOCKET, call, until
from tests.runtimes.router.instances import says
from tests.runtimes.router.test_tunnels import SWITCHED, UPGRADE
from tests.runtimes.router.wire import request as message

if TYPE_CHECKING:
    from tests.runtimes.router.attacks import Attack
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked
    from tests.runtimes.router.wire import Wire

pytestmark = pytest.mark.anyio
attack = Attacks()


# -- being somebody else


@attack(without(fields, "_IDENTITY", ()))
async def say_that_one_is_the_system(world: World) -> bool:
    service = await world.service()
    await hostile(world, (API,))
    await visits(world, f"Authorization: Bearer {TOKEN}", "Atek-Auth-User: mallory")
    return reached(service, "mallory")


@attack(without(fields, "_SIGN", re.compile(rb"(?!)")))
async def say_so_in_other_letters(world: World) -> bool:
    """Servers that hand fields on as variables see no difference."""
    service = await world.service()
    await hostile(world, (API,))
    await visits(world, f"Authorization: Bearer {TOKEN}", "Atek_Auth.User: mallory")
    return reached(service, "mallory")


@attack(without(fields, "_IDENTITY", (b"atek-auth-",)))
async def say_that_one_is_the_router(world: World) -> bool:
    service = await world.service()
    await hostile(world, (API,))
    await visits(world, "Atek-Router-Token: guessed", unix=True)
    return reached(service, "guessed")


@attack(without(table, "_callers", lambda callers, before, after: {**callers, **_tokens(after)}))
async def use_a_token_after_its_instances_end(world: World) -> bool:
    await world.service()
    service = await hostile(world, None)
    service.publish(credentials=())
    return (await world.post(call(), token=TOKEN)).status == 200


def _tokens(routes: Any) -> dict[str, Any]:
    return {each.token: table.caller_of(route) for route in routes for each in route.credentials}


@attack(
    without(known_peer.KnownPeer, "settled", lambda _, decision: getattr(decision, "otherwise", decision))
)
async def keep_a_connection_beyond_ones_end(world: World) -> bool:
    await world.service()
    service = await hostile(world, (API,))
    client = await world.connect(unix=True)
    for changes in ({}, {"credentials": ()}):
        service.publish(**changes)
        await client.send(message("GET", "/", host=HOST))
        answer = await client.answer()
    return answer.status == 200


@attack(
    without(known_peer.KnownPeer, "settled", lambda _, decision: getattr(decision, "otherwise", decision))
)
async def connect_before_one_is_known(world: World) -> bool:
    await world.service()
    await hostile(world, credentials=())
    client = await world.connect(unix=True)
    await client.send(message("GET", "/a", host=HOST))
    assert (await client.answer()).status == 200
    await hostile(world)
    await client.send(message("GET", "/b", host=HOST))
    return (await client.answer()).status == 200


# -- what goes on for long


async def _open(world: World, *said: str, target: str = GATEWAY, host: str = "localhost") -> Wire:
    client = await world.connect()
    await client.send(message("GET", target, *UPGRADE, *said, host=host))
    assert (await client.head()).status == 101
    return client


async def _goes_on(client: Wire) -> bool:
    await client.send(frame(TEXT, b"more", masked=True))
    return await read_message(client) == (TEXT, b"more")


@attack(without(plane.Plane, "_look_again", lambda _: None))
async def keep_a_websocket_beyond_ones_end(world: World) -> bool:
    await world.service(serve=echo_messages, exports=SOCKET)
    service = await hostile(world, (API,))
    client = await _open(world, f"Authorization: Bearer {TOKEN}")
    service.publish(credentials=())
    return await _goes_on(client)


@attack(without(plane.Plane, "_look_again", lambda _: None))
async def keep_a_websocket_beyond_what_is_allowed(world: World) -> bool:
    await world.service(serve=echo_messages, exports=SOCKET)
    service = await hostile(world, (API,))
    client = await _open(world)
    service.publish(allow=())
    return await _goes_on(client)


@attack(without(plane.Plane, "_look_again", lambda _: None))
async def keep_a_persons_websocket_beyond_the_session(world: World) -> bool:
    service = await world.service(serve=echo_messages, exports=SOCKET)
    world.sign_in({"s1": Session("bob")}, private=False)
    client = await _open(world, service.cookie("s1"), target="/", host=HOST)
    world.sign_in({}, private=False)
    return await _goes_on(client)


@attack(without(proxying.Proxying, "_begun", lambda _: None))
async def have_a_websocket_begin_after_ones_end(world: World) -> bool:
    asks, answers = anyio.Event(), anyio.Event()

    async def serve(asked: Asked) -> None:
        asks.set()
        await answers.wait()
        await asked.send(SWITCHED + frame(TEXT, b"secret"))
        await asked.some()

    await world.service(serve=serve, exports=SOCKET)
    service = await hostile(world, (API,))
    client = await world.connect()
    await client.send(message("GET", GATEWAY, *UPGRADE, f"Authorization: Bearer {TOKEN}"))
    await asks.wait()
    service.publish(credentials=())
    await until(lambda: TOKEN not in world.plane.table.callers)
    answers.set()
    assert (await client.head()).status == 101
    first = await read_message(client)
    await client.send(frame(TEXT, b"more", masked=True))
    return first == (TEXT, b"secret") and await _heard_more(client)


async def _heard_more(client: Wire) -> bool:
    """Whether it is still open: what was on its way before may have come."""
    with anyio.move_on_after(0.5):
        kind, _ = await read_message(client)
        return kind == TEXT
    return True


# -- what a hostile callee gets to see


@attack(without(passed_fields, "_proves_somebody", lambda *_: False))
async def be_shown_the_token_of_who_calls(world: World) -> bool:
    service = await hostile(world, exports=())
    await world.ask("GET", "/", f"Authorization: Bearer {ADMIN}", host="hostile.localhost")
    return reached(service, ADMIN)


@attack(without(access, "shows_token", lambda *_: False))
async def be_shown_a_token_in_the_address(world: World) -> bool:
    service = await hostile(world, exports=())
    await world.ask("GET", f"/?access_token={ADMIN}", host="hostile.localhost")
    return reached(service, ADMIN)


@attack(without(passed_fields, "_shows_token", lambda *_: False))
async def be_shown_a_token_in_another_field(world: World) -> bool:
    service = await hostile(world, exports=())
    await world.ask("GET", "/", f"X-Api-Key: {ADMIN}", host="hostile.localhost")
    return reached(service, ADMIN)


@attack(without(passed_fields, "without_sessions", lambda _, cookie: cookie))
async def be_shown_a_persons_session(world: World) -> bool:
    service = await hostile(world, exports=())
    world.sign_in({"s3cret": Session("bob")}, private=False)
    await world.ask("GET", "/", "Cookie: session=s3cret", host="hostile.localhost")
    return reached(service, "s3cret")


@attack(without(fields, "_IDENTITY", (b"atek-auth-",)))
async def tell_visitors_what_the_router_shows(world: World) -> bool:
    token = new_token()
    service = await world.service("hostile", says(200, "", f"Atek-Router-Token: {token}"), exports=())
    answer = await world.ask("GET", "/", host=service.host)
    return token.encode() in answer.raw


_caller_of = table.caller_of


@attack(without(table, "caller_of", lambda route: replace(_caller_of(route), user="system")))
async def act_for_more_than_ones_owner(world: World) -> bool:
    """Who was granted the node's APIs has the rights of its owner there, and no others."""
    service = await node(world)
    await hostile(world, (OWN,), owner="bob")
    await world.post(call(), api=OWN, token=TOKEN)
    return service.request["atek-auth-user"] != "bob"


@pytest.mark.parametrize("each", attack, ids=lambda each: each.name)
@pytest.mark.parametrize("guarded", [True, False])
async def test_each_fails_because_of_its_guard(
    world: World, monkeypatch: pytest.MonkeyPatch, each: Attack, *, guarded: bool
) -> None:
    await each.check(world, monkeypatch, guarded=guarded)
