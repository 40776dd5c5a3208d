"""Who somebody is reaches a service only in the router's own words: no token goes on to a callee."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from reconciler.state.tokens import new_token
from runtimes.router.decide.table import Credential, Session
from tests.runtimes.router.harness import ADMIN, API, SOCKET, call
from tests.runtimes.router.test_tunnels import UPGRADE, mirror
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
OWN, SHARED, ELSEWHERE = new_token(), "5e" * 32, new_token()
TOKENS = {"own": OWN, "older": SHARED, "elsewhere": ELSEWHERE, "admin": ADMIN, "session": "s1" * 16}
#: Ways in which a token is sent, by mistake or not.
WAYS = (
    "Bearer {}",
    "bearer   {}",
    "Bearer\t{}",
    "Token {}",
    "token={}",
    'Digest username="{}", uri="/"',
    "{}",
)


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


async def passed_on(world: World, authorization: str) -> str:
    """What the service gets of it."""
    service = await world.service()
    answer = await world.ask("GET", "/", f"Authorization: {authorization}", host=HOST)
    assert answer.status == 200
    return service.request["authorization"]


@pytest.mark.parametrize("whose", sorted(TOKENS))
@pytest.mark.parametrize("way", [*WAYS, "basic name", "basic password"])
async def test_a_token_is_never_passed_on(world: World, whose: str, way: str) -> None:
    """This node's instances' and administrators', a user's session, and what another node gave."""
    await world.service("caller", exports=(), credentials=(Credential(OWN), Credential(SHARED)))
    token = TOKENS[whose]
    world.sign_in({TOKENS["session"]: Session("bob")}, private=False)
    ways = {"basic name": basic(f"{token}:x"), "basic password": basic(f"x:{token}")}
    assert await passed_on(world, ways.get(way) or way.format(token)) == ""


@pytest.mark.parametrize(
    "value",
    [basic("alice:secret"), "Basic !", "Bearer of-the-apps-own", "Digest a=b", "Negotiate YII=", "atek_"],
)
async def test_what_is_between_a_client_and_a_service_goes_on(world: World, value: str) -> None:
    assert await passed_on(world, value) == value


FIELDS = (
    "X-Api-Key: {}",
    "x-forwarded-authorization: Bearer {}",
    "Referer: http://notes.localhost/?access_token={}",
    "Cookie: a=b; token={}",
    "Sec-WebSocket-Protocol: graphql, {}",
)


@pytest.mark.parametrize("whose", ["own", "elsewhere", "admin"])
@pytest.mark.parametrize("field", FIELDS)
async def test_nor_is_it_in_any_other_field(world: World, whose: str, field: str) -> None:
    service = await world.service()
    line = field.format(TOKENS[whose])
    assert (await world.ask("GET", "/", line, "X-Other: stays", host=HOST)).status == 200
    name = line.partition(":")[0].lower()
    assert name not in service.requests[0].names and service.requests[0]["x-other"] == "stays"
    assert (await world.ask("GET", "/", field.format("of-the-apps-own"), host=HOST)).status == 200
    assert "of-the-apps-own" in service.requests[1][name]


@pytest.mark.parametrize("whose", ["own", "elsewhere", "admin"])
@pytest.mark.parametrize("target", ["/?access_token={}", "/{}/x", "/?a=b&t=%22{}"])
async def test_nor_does_an_address_with_one_get_there(world: World, whose: str, target: str) -> None:
    service = await world.service()
    answer = await world.ask("GET", target.format(TOKENS[whose]), host=HOST)
    assert answer.status == 400 and "Authorization" in answer.text
    assert service.requests == []
    encoded = "".join(f"%{ord(letter):02x}" for letter in TOKENS[whose])
    assert (await world.ask("GET", target.format(encoded), host=HOST)).status == 400
    assert (await world.ask("GET", target.format("atek_of-the-apps-own"), host=HOST)).status == 200


async def test_the_token_of_an_instance_that_has_ended_is_good_for_nothing(world: World) -> None:
    service = await world.service()
    caller = await world.service("caller", exports=(), credentials=(Credential(OWN), Credential(SHARED)))
    bearer = f"Authorization: Bearer {OWN}"
    assert "result" in (await world.post(call(), token=OWN)).json
    assert (await world.ask("GET", "/", bearer, host=HOST)).status == 200
    assert service.requests[-1]["atek-auth-service"] == "key-of-caller"
    caller.publish(*caller.instances, credentials=(Credential(SHARED),))
    assert (await world.post(call(), token=OWN)).status == 401
    assert "result" in (await world.post(call(), token=SHARED)).json
    # Somebody like anybody else, whose word is not passed on.
    assert (await world.ask("GET", "/", bearer, host=HOST)).status == 200
    assert service.requests[-1].names & {"authorization", "atek-auth-service"} == set()


async def test_nor_does_it_go_through_the_gateway(world: World) -> None:
    service = await world.service(serve=mirror, exports=SOCKET)
    await world.service("caller", exports=(), credentials=(Credential(OWN),))
    client = await world.connect()
    bearer = f"Authorization: Bearer {OWN}"
    await client.send(request("GET", f"/_atek/gateway?api={API}", *UPGRADE, bearer))
    assert (await client.head()).status == 101
    assert service.request["authorization"] == ""
    await client.close()
