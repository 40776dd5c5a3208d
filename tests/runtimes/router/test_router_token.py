"""How an instance knows that it is the router who asks, and not whoever reaches its port."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.state.tokens import new_token
from tests.runtimes.router.harness import API, SOCKET, call
from tests.runtimes.router.instances import echo, says
from tests.runtimes.router.test_tunnels import UPGRADE, mirror
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World

pytestmark = pytest.mark.anyio

FIELD = "atek-router-token"


def publish(service: Service, *tokens: str) -> None:
    """Each instance with a token of its own."""
    for instance, token in zip(service.instances, tokens, strict=True):
        instance.backend = replace(instance.backend, token=token)
    service.publish(*service.instances)


@pytest.mark.parametrize("tcp", [False, True])
async def test_each_request_shows_the_token_of_its_instance(world: World, *, tcp: bool) -> None:
    service = await world.service(replicas=2, tcp=tcp)
    publish(service, "of-one", "of-two")
    for _ in range(4):
        assert (await world.ask("GET", "/", host=service.host)).status == 200
        assert (await world.ask("POST", "/", host=service.host, body=b"x")).status == 200
        assert "result" in (await world.post(call())).json
    for instance, token in zip(service.instances, ("of-one", "of-two"), strict=True):
        assert len(instance.requests) >= 4
        assert {each[FIELD] for each in instance.requests} == {token}
        assert all(each.raw.lower().count(b"atek-router-token") == 1 for each in instance.requests)


async def test_so_does_a_websocket_and_a_batch(world: World) -> None:
    live = await world.service("live", serve=mirror, exports=SOCKET)
    publish(live, "of-live")
    for target, host in ((f"/_atek/gateway?api={API}", "localhost"), ("/", live.host)):
        client = await world.connect()
        await client.send(request("GET", target, *UPGRADE, live.bearer, host=host))
        assert (await client.head()).status == 101
        await client.close()
    notes = await world.service()
    publish(notes, "of-notes")
    await world.post([call(call_id=1), call(call_id=2)])
    assert [each[FIELD] for each in (*live.requests, *notes.requests)] == ["of-live"] * 2 + ["of-notes"] * 2


async def test_an_instance_that_was_given_none_is_shown_none(world: World) -> None:
    """One that an earlier version of the node started."""
    service = await world.service()
    await world.ask("GET", "/", host=service.host)
    await world.post(call())
    assert all(FIELD not in each.names for each in service.requests)


@pytest.mark.parametrize(
    "name", ["Atek-Router-Token", "ATEK_ROUTER_TOKEN", "atek-router_token", "Atek.Router.Token"]
)
@pytest.mark.parametrize("given", [True, False])
async def test_nobody_else_shows_one(world: World, name: str, *, given: bool) -> None:
    service = await world.service()
    if given:
        publish(service, "its-own")
    await world.ask("GET", "/", f"{name}: guessed", "Connection: Atek-Router-Token", host=service.host)
    await world.post(call(), f"{name}: guessed")
    assert [each[FIELD] for each in service.requests] == ["its-own" if given else ""] * 2
    assert all(b"guessed" not in each.raw for each in service.requests)


async def test_what_an_instance_repeats_of_it_reaches_nobody(world: World) -> None:
    token = new_token()
    service = await world.service(serve=says(200, "", f"Atek-Router-Token: {token}", "X-Other: stays"))
    publish(service, token)
    answer = await world.ask("GET", "/", host=service.host)
    assert FIELD not in answer.names and answer["x-other"] == "stays"


async def test_it_is_nobodys_bearer_token(world: World) -> None:
    """An instance that tells others what it was shown gives nobody its rights."""
    token = new_token()
    service = await world.service(serve=echo)
    publish(service, token)
    assert (await world.post(call(), token=token)).status == 401
    assert token not in repr(world.plane.table)
