"""POST /_atek/gateway?api=ID: who may call what, what a service is told of its caller, and batches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.router.decide.access import OPEN_METHODS
from runtimes.router.decide.place import USER_SESSIONS_API
from runtimes.router.decide.table import Export, Session
from runtimes.router.limits import Limits
from runtimes.router.protocol.jsonrpc import MOST_CALLS
from tests.runtimes.router.harness import ADMIN, API, RPC, call, notification, until
from tests.runtimes.router.instances import Held, echo
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import Service, World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio


def told(service: Service) -> tuple[str, str]:
    """What its only request says about the caller."""
    return service.request["atek-auth-user"], service.request["atek-auth-service"]


# -- "unauthenticated callers may only call user-sessions-api `login` and `whoami`"


@pytest.mark.parametrize("method", sorted(OPEN_METHODS))
async def test_who_is_not_known_may_log_in(world: World, method: str) -> None:
    service = await world.service(exports=(Export(USER_SESSIONS_API, "/"),))
    assert (await world.post(call(method), api=USER_SESSIONS_API, token=None)).json["result"] == []
    assert not service.request.names & {"atek-auth-user", "atek-auth-service"}


async def test_who_is_not_known_may_do_nothing_else(world: World) -> None:
    service = await world.service(exports=(Export(USER_SESSIONS_API, "/"), *RPC))
    for method in ("logout", "Login", "", "login "):
        answer = await world.post(call(method), api=USER_SESSIONS_API, token=None)
        assert answer.json["error"]["message"] == "Not authorized"
    assert (await world.post(notification("logout"), api=USER_SESSIONS_API, token=None)).status == 204
    assert (await world.post(call("login"), token=None)).status == 401
    assert service.requests == []


async def test_a_batch_of_somebody_who_is_not_known_logs_in_and_nothing_else(world: World) -> None:
    service = await world.service(exports=(Export(USER_SESSIONS_API, "/"),))
    calls = [call("logout", call_id=1), call("whoami", call_id=2), notification("logout")]
    batch = await world.post(calls, api=USER_SESSIONS_API, token=None)
    assert [each.get("result") for each in batch.json] == [None, []]
    assert service.request.json["method"] == "whoami"


# -- "caller | Atek-Auth-User | Atek-Auth-Service"


async def test_a_system_token_calls_as_the_system(world: World) -> None:
    target = await world.service()
    await world.post(call())
    assert told(target) == ("system", "system")


@pytest.mark.parametrize("owner", ["alice", "system"])
async def test_a_services_token_calls_as_its_owner_and_the_service(world: World, owner: str) -> None:
    target = await world.service()
    caller = await world.service("caller", exports=(), owner=owner)
    await world.post(call(), token=caller.token)
    assert told(target) == (owner, "key-of-caller")


@pytest.mark.parametrize("origin", [False, True], ids=["no origin", "own origin"])
async def test_a_session_calls_as_the_user_and_the_target(world: World, origin: bool) -> None:
    target = await world.service()
    world.sign_in({"s1": Session("bob")}, private=False)
    host = f"localhost:{world.port}"
    fields = ["Cookie: x=1; session=s1", *([f"Origin: http://{host}"] if origin else [])]
    body = json.dumps(call()).encode()
    answer = await world.ask("POST", f"/_atek/gateway?api={API}", *fields, host=host, body=body)
    assert answer.json["result"] == []
    assert told(target) == ("bob", "key-of-notes")


@pytest.mark.parametrize("cookie", ["session=s2", "session=", "sessions=s1", "x=session=s1"])
async def test_other_cookies_are_nobodys(world: World, cookie: str) -> None:
    target = await world.service()
    world.sign_in({"s1": Session("bob")}, private=False)
    assert (await world.post(call(), f"Cookie: {cookie}", token=None)).status == 401
    assert target.requests == []


@pytest.mark.parametrize(
    "origin", ["http://notes.localhost", "http://evil.example", "null", "http://localhost:1"]
)
async def test_a_page_of_another_origin_does_not_call_as_its_reader(world: World, origin: str) -> None:
    """A browser sends the cookie along for whatever page it shows."""
    target = await world.service()
    world.sign_in({"s1": Session("bob")}, private=False)
    answer = await world.post(call(), "Cookie: session=s1", f"Origin: {origin}", token=None)
    assert (answer.status, target.requests) == (401, [])


async def test_a_token_that_was_taken_back_is_nobodys(world: World) -> None:
    await world.service()
    caller = await world.service("caller", exports=())
    token = caller.token
    assert (await world.post(call(), token=token)).status == 200
    caller.publish(credentials=())
    assert (await world.post(call(), token=token)).status == 401


async def test_a_service_may_call_what_its_manifest_allows(world: World) -> None:
    target = await world.service()
    caller = await world.service("caller", exports=(), allow=("example.com/other",))
    refused = (await world.post(call(), token=caller.token)).json["error"]
    assert "may not call" in refused["message"] and target.requests == []
    caller.publish(*caller.instances, allow=(API,))
    assert "result" in (await world.post(call(), token=caller.token)).json


# -- "notifications and batches are answered `{}` and dropped" (better)


async def test_a_batch_of_notifications_is_delivered_and_not_answered(world: World) -> None:
    service = await world.service()
    answer = await world.post([notification("a"), notification("b")])
    assert (answer.status, answer.body) == (204, b"")
    assert sorted(each["method"] for each in service.instances[0].calls) == ["a", "b"]


async def test_the_calls_of_a_batch_do_not_wait_for_each_other(world: World) -> None:
    last = anyio.Event()

    async def serve(asked: Asked) -> None:
        if json.loads(await asked.body())["method"] == "first":
            await last.wait()
        else:
            last.set()
        await echo(asked)

    await world.service(serve=serve)
    answers = (await world.post([call("first", [1], "a"), call("last", [2], "b")])).json
    assert {each["id"]: each["result"] for each in answers} == {"a": [1], "b": [2]}


@pytest.mark.parametrize("count", [0, MOST_CALLS + 1])
async def test_a_batch_of_nothing_or_too_much_is_one_error(world: World, count: int) -> None:
    service = await world.service()
    answer = await world.post([call()] * count)
    assert (answer.json["id"], answer.json["error"]["code"]) == (None, -32600)
    assert service.requests == []


async def test_a_batch_has_an_answer_for_each_call_in_any_order(world: World) -> None:
    service = await world.service()
    answer = await world.post([call("a", [1]), notification(), 5, call("b", [2], "x"), {"jsonrpc": "2.0"}])
    answers = {str(each["id"]): each for each in answer.json if "result" in each}
    assert {key: each["result"] for key, each in answers.items()} == {"1": [1], "x": [2]}
    assert [each["error"]["code"] for each in answer.json if "error" in each] == [-32600, -32600]
    assert len(service.requests) == 3


async def test_a_batch_that_fails_in_part_says_which(world: World) -> None:
    async def serve(asked: Asked) -> None:
        body = await asked.body()
        if b"bad" in body:
            await asked.close()
        else:
            await asked.respond(200, b'{"jsonrpc":"2.0","id":1,"result":true}')

    await world.service(serve=serve)
    answers = (await world.post([call("good", call_id=1), call("bad", call_id=2)])).json
    assert answers[0] == {"jsonrpc": "2.0", "id": 1, "result": True}
    assert (answers[1]["id"], answers[1]["error"]["code"]) == (2, -32000)


async def test_a_large_batch_goes_out_a_few_at_a_time(world: World) -> None:
    held = Held()
    service = await world.service(serve=held)
    client = await world.connect()
    body = json.dumps([call(call_id=number) for number in range(100)]).encode()
    await client.send(
        request("POST", f"/_atek/gateway?api={API}", f"Authorization: Bearer {ADMIN}", body=body)
    )
    await until(lambda: held.waiting == 32)
    assert len(service.requests) == 32
    while len(service.requests) < 100 or held.waiting:
        held.release()
        await until(lambda: held.waiting or len(service.requests) == 100)
        held.release()
    assert len((await client.answer()).json) == 100


async def test_a_body_in_pieces_is_one_call(world: World) -> None:
    await world.service()
    client = await world.connect()
    body = b'{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}'
    whole = request("POST", f"/_atek/gateway?api={API}", f"Authorization: Bearer {ADMIN}", body=body)
    for byte in whole:
        await client.send(bytes([byte]))
    assert (await client.answer()).json["result"] == [1]


async def test_anonymous_callers_may_ask_only_so_often_and_proxies_speak_for_others_only_if_known(
    world: World,
) -> None:
    world.replace_plane(Limits(anonymous=3))
    await world.service()

    async def anonymous(*fields: str) -> int:
        return (await world.post(call(), *fields, token=None)).status

    assert [await anonymous(f"X-Forwarded-For: 1.2.3.{number}") for number in range(5)] == [
        401,
        401,
        401,
        429,
        429,
    ]
    assert (await world.post(call())).status == 200
    world.replace_plane(Limits(anonymous=3), trusted_proxies=["127.0.0.1"])
    assert [await anonymous(f"X-Forwarded-For: 1.2.3.{number}") for number in range(5)] == [401] * 5


async def test_nothing_of_the_node_is_reached_around_the_gateway(world: World) -> None:
    """The paths of the node's own APIs, and of its control socket, lead nowhere from outside."""
    for target in ("/_atek/api/services", "/_atek/control", "/_atek/events", "/nothing"):
        answer: Any = await world.ask("POST", target, f"Authorization: Bearer {ADMIN}", body=b"{}")
        assert (answer.status, answer.json) == (404, {"error": True, "message": "Not found"})
