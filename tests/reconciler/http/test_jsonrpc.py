"""JSON-RPC 2.0 as the specification has it, over a method that returns what it was given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.http.jsonrpc import RpcError, respond

pytestmark = pytest.mark.anyio


class Methods:
    """Answers with its params, and remembers what was called."""

    def __init__(self) -> None:
        self.called: list[tuple[str, Any]] = []

    async def __call__(self, name: str, params: Any) -> object:
        self.called.append((name, params))
        if name == "refuse":
            raise RpcError(-32003, "no", params)
        if name == "break":
            raise KeyError("secret detail")
        return params


async def ask(value: object, methods: Methods | None = None) -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    response = await respond(body, methods or Methods())
    assert isinstance(response.body, bytes)
    if response.status == 204:
        assert response.body == b""
        return None
    assert (response.status, response.content_type) == (200, "application/json")
    return json.loads(response.body)


def request(method: str = "echo", call_id: Any = 1, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "method": method} | more


@pytest.mark.parametrize("call_id", [1, -7, 0, 1.5, "", "a", "\udcff", None, 2**70])
@pytest.mark.parametrize("params", [[1, "a", None], {"a": 1}, []])
async def test_results_come_with_the_callers_id(call_id: Any, params: Any) -> None:
    answer = await ask(request(call_id=call_id, params=params))
    assert answer == {"jsonrpc": "2.0", "id": call_id, "result": params}


async def test_params_may_be_left_out() -> None:
    assert (await ask(request()))["result"] is None


async def test_an_error_has_code_message_and_data() -> None:
    answer = await ask(request("refuse", "x", params=[5]))
    assert answer == {"jsonrpc": "2.0", "id": "x", "error": {"code": -32003, "message": "no", "data": [5]}}
    assert "data" not in (await ask(request("refuse")))["error"]


async def test_a_defect_is_told_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    error = (await ask(request("break")))["error"]
    assert error["code"] == -32603
    assert "secret" not in json.dumps(error)
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"id": Infinity}', b"1" * 5000]
)
async def test_what_is_not_json(body: bytes) -> None:
    answer = await ask(body)
    assert (answer["id"], answer["error"]["code"]) == (None, -32700)


@pytest.mark.parametrize(
    "value",
    [
        [],
        1,
        None,
        "a",
        {},
        {"id": 1, "method": "echo"},
        request() | {"jsonrpc": 2.0},
        request() | {"method": 5},
        request(call_id=True),
        request(call_id=[1]),
        request(call_id={}),
    ],
)
async def test_what_is_no_request(value: object) -> None:
    methods = Methods()
    answer = await ask(value, methods)
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    assert methods.called == []


async def test_notifications_are_carried_out_and_not_answered() -> None:
    methods = Methods()
    for method in ("echo", "refuse", "break"):
        assert await ask({"jsonrpc": "2.0", "method": method, "params": [1]}, methods) is None
    assert methods.called == [("echo", [1]), ("refuse", [1]), ("break", [1])]


async def test_batches() -> None:
    methods = Methods()
    told = {"jsonrpc": "2.0", "method": "echo", "params": ["told"]}
    answers = await ask([told, request(call_id="a", params=[1]), 3, request("refuse", 4)], methods)
    assert [(each["id"], "result" in each) for each in answers] == [("a", True), (None, False), (4, False)]
    assert ("echo", ["told"]) in methods.called
    assert await ask([told, told]) is None
