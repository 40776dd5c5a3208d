"""POST /_atek/gateway?api=ID: what is answered, and what exactly reaches the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.router.limits import Limits
from runtimes.router.table import Export, Session
from tests.runtimes.router.harness import ADMIN, API, PATH, SOCKET, call, notification, until
from tests.runtimes.router.instances import Held, says
from tests.runtimes.router.wire import chunks, request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World
    from tests.runtimes.router.instances import Asked

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_a_call_is_answered_with_its_result(world: World, unix: bool) -> None:
    await world.service()
    answer = await world.post(call("echo", [1, "a"]), unix=unix)
    assert (answer.status, answer["content-type"]) == (200, "application/json")
    assert answer.body == b'{"jsonrpc":"2.0","id":1,"result":[1,"a"]}'


async def test_the_callers_id_comes_back_whatever_the_service_answered(world: World) -> None:
    await world.service(serve=says(200, b'{"jsonrpc":"2.0","id":99,"result":5}'))
    for call_id in ("a", 2**80, 1.5, None, "", -1):
        answer = await world.post(json.dumps(call(call_id=call_id)).encode())
        assert answer.json == {"jsonrpc": "2.0", "id": call_id, "result": 5}


async def test_an_error_is_passed_on_with_code_message_and_data(world: World) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"no","data":[1]}}'
    await world.service(serve=says(200, body))
    assert (await world.post(call())).body == body


async def test_no_json_is_a_parse_error(world: World) -> None:
    await world.service(serve=says(500, "<h1>Oops</h1>"))
    answer = await world.post(call())
    assert (answer.status, answer.json["error"]["code"], answer.json["id"]) == (200, -32700, 1)


async def test_unknown_stopped_and_proxy_apis_have_no_service(world: World) -> None:
    service = await world.service()
    await world.service("sockets", exports=(Export("example.com/ws", "/ws", "proxy"),))
    service.publish()
    answers = [await world.post(call(), api=api) for api in ("example.com/none", API, "example.com/ws")]
    service.publish(exports=())
    answers.append(await world.post(call()))
    assert [(each.status, each.json["error"]["code"]) for each in answers] == [(200, -32601)] * 4
    assert all(
        each.json["error"]["message"].startswith("No service available which matches") for each in answers
    )


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer wrong", "Bearer ", "Basic the-admins-token", "the-admins-token", "Bearer a b"],
)
async def test_who_is_not_known_is_refused(world: World, authorization: str) -> None:
    service = await world.service()
    fields = (f"Authorization: {authorization}",) if authorization else ()
    answer = await world.post(call(), *fields, token=None)
    assert (answer.status, answer.json) == (401, {"error": True, "message": "Not authorized"})
    assert service.requests == []


async def test_who_is_not_known_may_only_log_in(world: World) -> None:
    api = "atek.cloud/user-sessions-api"
    await world.service(exports=(Export(api, "/"),))
    for method, answered in (("login", "result"), ("whoami", "result"), ("logout", "error"), ("x", "error")):
        assert answered in (await world.post(call(method), api=api, token=None)).json
    batch = await world.post([call("logout", call_id=1), call("whoami", call_id=2)], api=api, token=None)
    assert ["error" in each for each in batch.json] == [True, False]


async def test_browsers_may_ask_first(world: World) -> None:
    answer = await world.ask("OPTIONS", f"/_atek/gateway?api={API}", "Origin: http://a.example")
    assert answer.status == 204
    assert answer["access-control-allow-origin"] == "*"
    assert "POST" in answer["access-control-allow-methods"]
    assert "Authorization" in answer["access-control-allow-headers"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_are_not_found(world: World, method: str) -> None:
    await world.service()
    answer = await world.ask(method, f"/_atek/gateway?api={API}", f"Authorization: Bearer {ADMIN}")
    assert (answer.status, answer.json) == (404, {"error": True, "message": "Not found"})


async def test_the_service_gets_nothing_of_the_client_but_the_call(world: World) -> None:
    service = await world.service()
    fields = [
        "Cookie: a=b",
        "X-Own: 1",
        "Atek-Auth-User: system",
        "Atek_Auth_User: x",
        "traceparent: 00-ab-cd-01",
    ]
    await world.post(call("m", [1]), *fields, "User-Agent: me")
    got = service.request
    assert got.line == f"POST {PATH} HTTP/1.1"
    assert got["x-request-id"] and got["traceparent"] == "00-ab-cd-01"
    assert (got["atek-auth-user"], got["atek-auth-service"]) == ("system", "system")
    assert got.names == {
        "host", "content-type", "content-length", "atek-auth-user", "atek-auth-service", "x-request-id",
        "traceparent",
    }  # fmt: skip


async def test_who_calls_is_told_as_the_caller_is_known(world: World) -> None:
    target = await world.service()
    caller = await world.service("caller", exports=(), owner="alice")
    world.plane.set_sessions({"s1": Session("bob")}, private=False)
    await world.post(call(), token=caller.token)
    await world.post(call(), "Cookie: x=1; session=s1", token=None)
    await world.post(call(), "Cookie: session=s1", f"Origin: http://localhost:{world.port}", token=None)
    told = [(each["atek-auth-user"], each["atek-auth-service"]) for each in target.requests]
    assert told[:2] == [("alice", "key-of-caller"), ("bob", "key-of-notes")]
    foreign = await world.post(call(), "Cookie: session=s1", "Origin: http://evil.localhost", token=None)
    assert foreign.status == 401


async def test_a_service_may_call_what_its_manifest_allows(world: World) -> None:
    target = await world.service()
    caller = await world.service("caller", exports=(), allow=("example.com/other",))
    refused = (await world.post(call(), token=caller.token)).json["error"]
    assert "may not call" in refused["message"] and target.requests == []
    caller.publish(*caller.instances, allow=(API,))
    assert "result" in (await world.post(call(), token=caller.token)).json


async def test_notifications_are_delivered_and_not_answered(world: World) -> None:
    service = await world.service()
    answer = await world.post(notification("note", [7]))
    assert (answer.status, answer.body) == (204, b"")
    assert [each["params"] for each in service.instances[0].calls] == [[7]]
    assert (await world.post([notification(), notification()])).status == 204
    assert (await world.post(notification(), api="example.com/none")).status == 204


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


@pytest.mark.parametrize(
    ("body", "code"), [(b"", -32700), (b"{", -32700), (b"[]", -32600), (b"7", -32600), (b'{"id":1}', -32600)]
)
async def test_what_is_no_call_is_an_error_in_json(world: World, body: bytes, code: int) -> None:
    service = await world.service()
    answer = await world.post(body)
    assert (answer.status, answer.json["error"]["code"], service.requests) == (200, code, [])


async def test_a_missing_api_is_named(world: World) -> None:
    for target in ("/_atek/gateway", "/_atek/gateway?api=", "/_atek/gateway?api=a&api=b"):
        body = b'{"jsonrpc":"2.0","id":3,"method":"m","params":[]}'
        answer = await world.ask("POST", target, f"Authorization: Bearer {ADMIN}", body=body)
        error = answer.json["error"]
        assert (answer.json["id"], error["code"]) == (3, -32602) and "api" in error["message"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_is_too_large_is_refused_and_the_limit_can_be_set(world: World, chunked: bool) -> None:
    world.replace_plane(Limits(request=1000))
    service = await world.service()
    assert "result" in (await world.post(call("m", ["x" * 900]))).json
    client = await world.connect()
    fields = ["Transfer-Encoding: chunked"] if chunked else ["Content-Length: 5000"]
    head = request("POST", f"/_atek/gateway?api={API}", f"Authorization: Bearer {ADMIN}", *fields)
    await client.send(head + (chunks(b"y" * 5000) if chunked else b"y" * 5000))
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["code"]) == (413, -32600)
    assert "1000 bytes" in answer.json["error"]["message"]
    assert len(service.requests) == 1


async def test_a_body_in_pieces_is_one_call(world: World) -> None:
    await world.service()
    client = await world.connect()
    body = b'{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}'
    whole = request("POST", f"/_atek/gateway?api={API}", f"Authorization: Bearer {ADMIN}", body=body)
    for byte in whole:
        await client.send(bytes([byte]))
    assert (await client.answer()).json["result"] == [1]


async def test_two_exporters_have_an_order(world: World) -> None:
    await world.service("b", serve=says(200, b'{"jsonrpc":"2.0","id":1,"result":"b"}'), rank=1)
    await world.service("a", serve=says(200, b'{"jsonrpc":"2.0","id":1,"result":"a"}'), rank=1)
    assert (await world.post(call())).json["result"] == "a"
    winner = await world.service("z", serve=says(200, b'{"jsonrpc":"2.0","id":1,"result":"z"}'), rank=0)
    assert (await world.post(call())).json["result"] == "z"
    world.plane.update({winner.id: None})
    assert (await world.post(call())).json["result"] == "a"


async def test_strangers_may_ask_only_so_often_and_proxies_speak_for_others_only_if_known(
    world: World,
) -> None:
    world.replace_plane(Limits(strangers=3))
    await world.service()

    async def stranger(*fields: str) -> int:
        return (await world.post(call(), *fields, token=None)).status

    assert [await stranger(f"X-Forwarded-For: 1.2.3.{number}") for number in range(5)] == [
        401,
        401,
        401,
        429,
        429,
    ]
    assert (await world.post(call())).status == 200
    world.replace_plane(Limits(strangers=3), trusted_proxies=["127.0.0.1"])
    assert [await stranger(f"X-Forwarded-For: 1.2.3.{number}") for number in range(5)] == [401] * 5


async def test_the_socket_api_is_not_called_by_post(world: World) -> None:
    service = await world.service(exports=SOCKET)
    assert (await world.post(call())).json["error"]["code"] == -32601
    assert service.requests == []


async def test_nothing_of_the_node_is_reached_around_the_gateway(world: World) -> None:
    """The paths of the node's own APIs, and of its control socket, lead nowhere from outside."""
    for target in ("/_atek/api/services", "/_atek/control", "/_atek/events", "/nothing"):
        answer: Any = await world.ask("POST", target, f"Authorization: Bearer {ADMIN}", body=b"{}")
        assert (answer.status, answer.json) == (404, {"error": True, "message": "Not found"})
