"""POST /_atek/gateway?api=ID: what is answered, and what exactly reaches the service.

The headings are the rows of the original's behaviour; (better) is where ours differs on purpose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from orjson import dumps

from runtimes.router.decide.table import Export
from runtimes.router.limits import Limits
from tests.runtimes.router.harness import ADMIN, API, PATH, SOCKET, call, notification
from tests.runtimes.router.instances import says
from tests.runtimes.router.wire import chunks, request

if TYPE_CHECKING:
    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio

GATEWAY = f"/_atek/gateway?api={API}"
AS_ADMIN = f"Authorization: Bearer {ADMIN}"
NOT_AUTHORIZED = {"error": True, "message": "Not authorized"}


# -- "{"jsonrpc":"2.0","id":1,"method":"echo","params":[1,"a"]}"


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_a_call_is_answered_with_its_result(world: World, unix: bool) -> None:
    await world.service()
    answer = await world.post(call("echo", [1, "a"]), unix=unix)
    assert (answer.status, answer["content-type"]) == (200, "application/json")
    assert answer.body == b'{"jsonrpc":"2.0","id":1,"result":[1,"a"]}'


async def test_an_instance_may_listen_on_tcp(world: World) -> None:
    await world.service(tcp=True)
    assert (await world.post(call("echo", [2]))).json["result"] == [2]


@pytest.mark.parametrize(
    "call_id", [1, 0, -7, "a", "", "ü☃", 1.5, -0.25, 1e300, 2**53 + 1, 2**64 + 1, -(2**70), None], ids=repr
)
async def test_ids_of_every_kind_come_back_as_they_were(world: World, call_id: object) -> None:
    await world.service()
    answer = (await world.post(call(call_id=call_id))).json
    assert answer == {"jsonrpc": "2.0", "id": call_id, "result": []}
    assert type(answer["id"]) is type(call_id)


@pytest.mark.parametrize("own", [b"2", b'"1"', b"1.0", b"null", b"[]"], ids=bytes.decode)
async def test_the_callers_id_comes_back_whatever_the_service_answered(world: World, own: bytes) -> None:
    await world.service(serve=says(200, b'{"jsonrpc":"2.0","id":%b,"result":[18446744073709551617]}' % own))
    answer = await world.post(call(call_id=1))
    assert answer.body == b'{"jsonrpc":"2.0","id":1,"result":[18446744073709551617]}'


async def test_an_answer_without_id_and_version_is_mended(world: World) -> None:
    await world.service(serve=says(200, b'{"result": {"a": 1}}'))
    answer = await world.post(call(call_id="x"))
    assert answer.json == {"jsonrpc": "2.0", "id": "x", "result": {"a": 1}}


@pytest.mark.parametrize("params", [{}, {"params": None}, {"params": []}], ids=["none", "null", "empty"])
async def test_params_reach_the_service_as_a_list(world: World, params: dict[str, object]) -> None:
    service = await world.service()
    answer = await world.post({"jsonrpc": "2.0", "id": 1, "method": "list", **params})
    assert answer.json["result"] == []
    assert service.request.json == {"jsonrpc": "2.0", "id": 1, "method": "list", "params": []}


async def test_params_by_name_stay_by_name(world: World) -> None:
    service = await world.service()
    await world.post({"jsonrpc": "2.0", "id": 1, "method": "put", "params": {"key": "a"}})
    assert service.request.json["params"] == {"key": "a"}


# -- "the service answers with an error object", "the service answers no JSON"


async def test_a_services_error_is_passed_on_with_code_message_and_data(world: World) -> None:
    error = {"code": -32003, "message": "a handler threw", "data": {"stack": ["a", 1.5, None]}}
    await world.service(serve=says(500, b'{"jsonrpc":"2.0","id":1,"error":%b}' % dumps(error)))
    answer = await world.post(call())
    assert (answer.status, answer.json) == (200, {"jsonrpc": "2.0", "id": 1, "error": error})


async def test_a_services_error_for_another_id_is_the_callers(world: World) -> None:
    error = {"code": -32001, "message": "bad params"}
    await world.service(serve=says(200, b'{"jsonrpc":"2.0","id":null,"error":%b}' % dumps(error)))
    assert (await world.post(call(call_id="mine"))).json == {"jsonrpc": "2.0", "id": "mine", "error": error}


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"jsonrpc":"2.0"', b"\xff"], ids=repr)
async def test_a_service_that_answers_no_json_is_a_parse_error(world: World, body: bytes) -> None:
    await world.service(serve=says(200, body))
    answer = await world.post(call(call_id=7))
    assert (answer.status, answer.json["id"], answer.json["error"]["code"]) == (200, 7, -32700)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"result":1,"error":{}}', b'{"error":"no"}'], ids=repr)
async def test_json_that_is_no_answer_is_a_bad_response(world: World, body: bytes) -> None:
    await world.service(serve=says(200, body))
    assert (await world.post(call())).json["error"]["code"] == -32002


# -- "unknown API, or a stopped service", "an API exported with transport `proxy`, by POST"


async def test_an_unknown_api_is_no_such_method(world: World) -> None:
    answer = await world.post(call(call_id=5), api="example.com/other")
    assert answer.status == 200
    error = {"code": -32601, "message": "No service available which matches example.com/other"}
    assert answer.json == {"jsonrpc": "2.0", "id": 5, "error": error}


async def test_the_api_of_a_stopped_service_is_no_such_method(world: World) -> None:
    service = await world.service()
    service.publish(exports=())
    answer = await world.post(call())
    assert (answer.status, answer.json["error"]["code"]) == (200, -32601)
    assert answer.json["error"]["message"].startswith("No service available which matches")


async def test_the_api_of_a_service_that_is_not_ready_says_so(world: World) -> None:
    service = await world.service()
    service.publish()
    error = (await world.post(call())).json["error"]
    assert error["code"] == -32601
    assert re.fullmatch(f"No service available which matches {API}: notes is not ready", error["message"])


async def test_a_proxy_api_by_post_is_no_such_method(world: World) -> None:
    service = await world.service(exports=SOCKET)
    assert (await world.post(call())).json["error"]["code"] == -32601
    assert service.requests == []


# -- "an unknown API with no `api=` goes to the first provider" (better)


@pytest.mark.parametrize("query", ["", "?", "?api=", "?other=1", f"?api={API}&api={API}"])
async def test_a_call_without_an_api_names_the_missing_parameter(world: World, query: str) -> None:
    service = await world.service()
    answer = await world.ask("POST", f"/_atek/gateway{query}", AS_ADMIN, body=dumps(call()))
    assert (answer.status, answer.json["id"], answer.json["error"]["code"]) == (200, 1, -32602)
    assert "api" in answer.json["error"]["message"]
    assert service.requests == []


async def test_the_api_may_be_percent_encoded(world: World) -> None:
    await world.service()
    assert (await world.post(call(), api="example.com%2Fnotes")).json["result"] == []


# -- "malformed JSON: an HTML stack trace; over 100 KiB: HTML 413" (better)


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"a": NaN}', b"\xff\xfe"], ids=repr)
async def test_malformed_json_is_a_parse_error(world: World, body: bytes) -> None:
    service = await world.service()
    answer = await world.post(body)
    assert (answer.status, answer["content-type"]) == (200, "application/json")
    assert (answer.json["id"], answer.json["error"]["code"]) == (None, -32700)
    assert service.requests == []


@pytest.mark.parametrize(
    "body", [b"1", b'"a"', b"null", b"{}", b'{"jsonrpc":"1.0","id":1,"method":"a"}'], ids=bytes.decode
)
async def test_json_that_is_no_call_is_an_invalid_request(world: World, body: bytes) -> None:
    service = await world.service()
    answer = await world.post(body)
    assert (answer.status, answer.json["error"]["code"]) == (200, -32600)
    assert service.requests == []


async def test_far_more_than_100_kib_may_be_sent(world: World) -> None:
    await world.service()
    long = "x" * 3_000_000
    assert (await world.post(call("echo", [long]))).json["result"] == [long]


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_call_over_the_limit_is_413_with_an_error_indumps(world: World, framing: str) -> None:
    world.replace_plane(Limits(request=1000))
    service = await world.service()
    body = dumps(call("echo", ["x" * 1000]))
    client = await world.connect()
    if framing == "length":
        await client.send(request("POST", GATEWAY, AS_ADMIN, body=body))
    else:
        await client.send(request("POST", GATEWAY, AS_ADMIN, "Transfer-Encoding: chunked") + chunks(body))
    answer = await client.answer()
    assert (answer.status, answer["content-type"], answer["connection"]) == (413, "application/json", "close")
    assert (answer.json["id"], answer.json["error"]["code"]) == (None, -32600)
    assert "1000 bytes" in answer.json["error"]["message"]
    assert service.requests == []


async def test_a_call_of_exactly_the_limit_is_delivered(world: World) -> None:
    body = dumps(call("echo", ["x" * 1000]))
    world.replace_plane(Limits(request=len(body)))
    await world.service()
    assert (await world.post(body)).json["result"] == ["x" * 1000]


# -- "no, bad or wrong-scheme Authorization", "OPTIONS", "GET or PUT with a good token"


@pytest.mark.parametrize(
    "field",
    [
        "X-Nothing: 1",
        "Authorization: Bearer wrong",
        f"Authorization: Basic {ADMIN}",
        "Authorization: Bearer ",
    ],
    ids=["none", "bad", "wrong scheme", "empty"],
)
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
async def test_who_is_not_known_is_not_authorized(world: World, method: str, field: str) -> None:
    service = await world.service()
    answer = await world.ask(method, GATEWAY, field, body=dumps(call()))
    assert (answer.status, answer["content-type"], answer.json) == (401, "application/json", NOT_AUTHORIZED)
    # Else a page of another origin could not even see why.
    assert answer["access-control-allow-origin"] == "*"
    assert service.requests == []


async def test_options_is_answered_with_cors_fields(world: World) -> None:
    answer = await world.ask("OPTIONS", GATEWAY, "Origin: http://a.example")
    assert answer.status == 204
    assert answer["access-control-allow-origin"] == "*"
    assert "POST" in answer["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(
        answer["access-control-allow-headers"].lower().split(", ")
    )


async def test_answers_to_calls_may_be_read_by_pages_of_any_origin(world: World) -> None:
    await world.service()
    assert (await world.post(call()))["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_with_a_good_token_are_not_found(world: World, method: str) -> None:
    service = await world.service()
    answer = await world.ask(method, GATEWAY, AS_ADMIN, body=dumps(call()))
    assert (answer.status, answer.json) == (404, {"error": True, "message": "Not found"})
    assert service.requests == []


# -- "The service gets `POST <export path>` with …. None of the client's other headers."


async def test_what_exactly_reaches_the_service(world: World) -> None:
    service = await world.service()
    fields = ["X-Other: 1", "Cookie: a=b", "Accept: x/y", "User-Agent: me", "Content-Type: text/plain"]
    fields += ["Atek-Auth-User: eve", "Atek_Auth_User: eve", "Atek-Auth-Service: eves"]
    await world.post(call("echo", ["a"]), *fields)
    reached = service.request
    assert reached.line == f"POST {PATH} HTTP/1.1"
    request_id = reached["x-request-id"]
    assert request_id
    assert sorted(reached.fields) == [
        ("atek-auth-service", "system"),
        ("atek-auth-user", "system"),
        ("content-length", str(len(reached.body))),
        ("content-type", "application/json"),
        ("host", "localhost"),
        ("x-request-id", request_id),
    ]
    assert reached.json == call("echo", ["a"])


async def test_a_usual_call_reaches_the_service_byte_for_byte(world: World) -> None:
    service = await world.service()
    body = b' {"params": [1.10, 1e2],  "method":"echo","id":"a","jsonrpc":"2.0"} '
    await world.post(body)
    assert service.request.body == body


async def test_the_clients_request_id_and_trace_go_on(world: World) -> None:
    service = await world.service()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await world.post(call(), "X-Request-Id: mine", f"traceparent: {trace}")
    assert (service.request["x-request-id"], service.request["traceparent"]) == ("mine", trace)


async def test_every_call_has_an_id_of_its_own(world: World) -> None:
    service = await world.service()
    for _ in range(3):
        await world.post(call())
    assert len({reached["x-request-id"] for reached in service.requests}) == 3


async def test_each_revision_has_the_api_at_its_own_path(world: World) -> None:
    service = await world.service()
    later = await world.instance("notes", exports=(Export(API, "/v2"),))
    service.publish(later)
    await world.post(call())
    assert later.request.target == "/v2"


# -- "notifications … are answered `{}` and dropped" (better)


async def test_a_notification_is_delivered_and_answered_with_nothing(world: World) -> None:
    service = await world.service()
    answer = await world.post(notification("note", ["a"]))
    assert (answer.status, answer.body) == (204, b"")
    assert service.request.json == notification("note", ["a"])


@pytest.mark.parametrize("body", [b"nonsense", b'{"jsonrpc":"2.0","id":null,"error":{}}'], ids=repr)
async def test_whatever_a_service_says_to_a_notification_is_lost(world: World, body: bytes) -> None:
    await world.service(serve=says(500, body))
    assert (await world.post(notification())).status == 204


async def test_a_notification_that_leads_nowhere_has_no_answer_either(world: World) -> None:
    assert (await world.post(notification(), api="example.com/other")).status == 204


# -- "two services exporting one API: whoever registered first, silently" (better)


@pytest.mark.parametrize("order", [("alpha", "beta"), ("beta", "alpha")], ids="-".join)
async def test_the_api_of_two_services_is_the_first_ones_by_id(world: World, order: tuple[str, str]) -> None:
    services = {name: await world.service(name) for name in order}
    await world.post(call())
    assert {name: len(service.requests) for name, service in services.items()} == {"alpha": 1, "beta": 0}


@pytest.mark.parametrize("order", [("alpha", "beta"), ("beta", "alpha")], ids="-".join)
async def test_precedence_comes_before_the_id(world: World, order: tuple[str, str]) -> None:
    ranks = {"alpha": 1, "beta": 0}
    services = {name: await world.service(name, rank=ranks[name]) for name in order}
    await world.post(call())
    assert {name: len(service.requests) for name, service in services.items()} == {"alpha": 0, "beta": 1}


async def test_when_the_first_one_is_stopped_the_other_has_the_api(world: World) -> None:
    alpha, beta = await world.service("alpha"), await world.service("beta")
    alpha.publish(exports=())
    await world.post(call())
    assert (len(alpha.requests), len(beta.requests)) == (0, 1)
