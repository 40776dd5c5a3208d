"""The server itself: what a connection may carry, and what it may not."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyper.adb import http
from hyper.adb.rpc import answer
from hyper.core_services import ADB_FEED_PATH, ADB_RPC_PATH
from tests.hyper.adb.harness import World
from tests.runtimes.router.wire import chunks, request

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

WHO = ("Atek-Auth-User: alice", "Atek-Auth-Service: notes")


def call(method: str = "dbList", *params: Any, call_id: Any = 1) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params})
    return request("POST", ADB_RPC_PATH, *WHO, body=body.encode())


async def test_one_connection_carries_many_calls(world: World) -> None:
    wire = await world.connect()
    for number in range(3):
        await wire.send(call(call_id=number))
        assert (await wire.answer()).json == {"jsonrpc": "2.0", "id": number, "result": []}


async def test_calls_ahead_are_answered_in_their_order(world: World) -> None:
    wire = await world.connect()
    await wire.send(b"".join(call("dbGetOrCreate", "main", call_id=number) for number in range(20)))
    answers = [(await wire.answer()).json for _ in range(20)]
    assert [each["id"] for each in answers] == list(range(20))
    assert len({each["result"]["dbId"] for each in answers}) == 1


async def test_a_call_in_pieces(world: World) -> None:
    wire = await world.connect()
    for piece in call():
        await wire.send(bytes([piece]))
    assert (await wire.answer()).json["result"] == []


async def test_a_call_in_chunks(world: World) -> None:
    body = b'{"jsonrpc":"2.0","id":"x","method":"dbList"}'
    wire = await world.connect()
    await wire.send(request("POST", ADB_RPC_PATH, *WHO, "Transfer-Encoding: chunked"))
    await wire.send(chunks(body[:10], body[10:]))
    assert (await wire.answer()).json == {"jsonrpc": "2.0", "id": "x", "result": []}


async def test_the_last_call_of_a_connection(world: World) -> None:
    wire = await world.connect()
    body = b'{"jsonrpc":"2.0","id":1,"method":"dbList"}'
    await wire.send(request("POST", ADB_RPC_PATH, *WHO, "Connection: close", body=body))
    answer = await wire.answer()
    assert (answer["connection"], answer.json["result"]) == ("close", [])
    assert await wire.rest() == b""


async def test_a_notification_is_done_and_not_answered(world: World) -> None:
    body = b'{"jsonrpc":"2.0","method":"dbGetOrCreate","params":["main"]}'
    answer = await world.ask(request("POST", ADB_RPC_PATH, *WHO, body=body))
    assert (answer.status, answer.body) == (204, b"")
    assert [each["alias"] for each in await world.notes("dbList")] == ["main"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"dbList","params":["\\ud800"]}', -32700),
        (b"[" * 100_000, -32700),
        (b"NaN", -32700),
        (b"null", -32600),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"dbList"}]', -32600),
        (b'{"id":1,"method":"dbList"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"dbList"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"dbList"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":3}', -32600),
    ],
)
async def test_what_is_no_call(world: World, body: bytes, code: int) -> None:
    answer = await world.ask(request("POST", ADB_RPC_PATH, *WHO, body=body))
    assert (answer.status, answer.json["error"]["code"], answer.json["id"]) == (200, code, None)


async def test_params_by_name_are_none(world: World) -> None:
    """As in the original, which takes them for no params."""
    answer = await world.rpc("recordGet", {"dbId": "x"}, *WHO)
    assert answer["error"]["message"] == "Parameter 1 must be string"


async def test_a_value_too_deep_to_be_written(world: World) -> None:
    """It can be read, and not told to the daemon; nobody else suffers."""
    db = (await world.notes("dbCreate"))["dbId"]
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"a": deep}
    body = b'{"jsonrpc":"2.0","id":1,"method":"recordPut","params":["%b","a",%b]}'
    sent = body % (db.encode(), json.dumps(deep).encode())
    answer = await world.ask(request("POST", ADB_RPC_PATH, *WHO, body=sent))
    assert answer.json["error"]["code"] == -32001
    assert (await world.notes("recordList", db, ""))["records"] == []


async def test_a_defect_is_told_and_logged(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    db = (await world.notes("dbCreate"))["dbId"]

    async def get(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(world.fake, "get", get)
    error = await world.notes.refused("recordGet", db, "a")
    assert (error.code, error.message) == (-32603, "the database could not do it; its log has more")
    assert "ZeroDivisionError" in caplog.text
    assert await world.notes("recordList", db, "") == {"records": []}


async def test_health(world: World) -> None:
    answer = await world.ask(request("GET", "/health"))
    assert (answer.status, answer.json) == (200, {"ready": True})


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", ADB_RPC_PATH, 405),
        ("PUT", ADB_RPC_PATH, 405),
        ("GET", ADB_FEED_PATH, 404),
        ("POST", f"{ADB_RPC_PATH}/x", 404),
        ("POST", "/_api/../_api/adb", 404),
    ],
)
async def test_what_is_not_there(world: World, method: str, target: str, status: int) -> None:
    answer = await world.ask(request(method, target, *WHO, body=b"{}" if method == "POST" else None))
    assert (answer.status, answer.json["error"]) == (status, True)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /_api/adb HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /_api/adb HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /_api/adb HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /_api/adb HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
    ],
)
async def test_what_is_no_http(world: World, data: bytes) -> None:
    wire = await world.connect()
    await wire.send(data)
    answer = await wire.answer()
    assert (answer.status, answer["connection"]) == (400, "close")
    assert await wire.rest() == b""


async def test_what_is_no_http_after_a_call_is_not_its_answer(world: World) -> None:
    """The call's own answer comes, or none."""
    wire = await world.connect()
    await wire.send(call("dbGetOrCreate", "main") + b"nonsense\r\n\r\n")
    assert b" 400 " not in await wire.rest()


async def test_heads_and_bodies_have_bounds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = await world.connect()
    await wire.send(b"GET / HTTP/1.1\r\nA: " + b"x" * http.LARGEST_HEAD)
    assert (await wire.answer()).status == 431
    monkeypatch.setattr(http, "LARGEST_BODY", 1000)
    wire = await world.connect()
    await wire.send(request("POST", ADB_RPC_PATH, *WHO, body=b"x" * 1001))
    assert (await wire.answer()).status == 413
    answer = await world.ask(request("POST", ADB_RPC_PATH, *WHO, body=b"x" * 1000))
    assert answer.json["error"]["code"] == -32700


async def test_nothing_about_a_client_stops_the_others(world: World) -> None:
    for data in (b"", b"POST /_api/adb HTTP/1.1\r\n", call()[:-3], call()):
        wire = await world.connect()
        if data:
            await wire.send(data)
        await wire.close()
    assert await world.notes("dbList") == []


async def test_only_this_user_reaches_the_socket(world: World) -> None:
    assert stat.S_IMODE(os.stat(world.socket).st_mode) == 0o600


async def test_what_was_asked_is_answered_before_the_end() -> None:
    async with World() as world:
        db = (await world.notes("dbCreate"))["dbId"]
        go_on = asyncio.Event()
        put = world.fake.put

        async def slow(*args: Any, **options: Any) -> Any:
            await go_on.wait()
            return await put(*args, **options)

        world.fake.put = slow  # type: ignore[method-assign]
        idle, busy = await world.connect(), await world.connect()
        await busy.send(call("recordPut", db, "a", {}))
        await busy.send(call("dbList"))
        world.stop.set()
        assert await idle.rest() == b""
        go_on.set()
        answer = await busy.answer()
        assert answer.json["result"]["key"] == "a" and answer["connection"] == "close"
        assert await busy.rest() == b""


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
METHODS = st.sampled_from(
    ["init", "getConfig", "dbCreate", "dbGetOrCreate", "dbConfigure", "dbGetConfig", "dbDescribe", "dbList",
     "adminListDbsByOwningUser", "adminCreateDb", "adminEditDbConfig", "adminDeleteDb", "recordList",
     "recordGet", "recordPut", "recordDelete", "recordDiff", "fly"]
)  # fmt: skip
PARAM = JSON | st.just("main") | st.lists(st.sampled_from(["a", "b", "", "\0", "é"]), max_size=3)


async def _nothing(name: str, params: Any) -> None:
    return None


@settings(deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_has_an_answer(body: bytes) -> None:
    told = asyncio.run(answer(body, _nothing))
    assert not told or json.loads(told)["jsonrpc"] == "2.0"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(METHODS, st.lists(PARAM, max_size=4)), min_size=1, max_size=10))
def test_any_params_have_an_answer(calls: list[tuple[str, list[Any]]]) -> None:
    """A result or an error that was foreseen: never a defect."""

    async def ask_all() -> None:
        async with World() as world:
            await world.notes("dbGetOrCreate", "main")
            for caller in (world.notes, world.system):
                for method, params in calls:
                    told = await world.rpc(method, params, *caller.fields)
                    assert told.get("error", {}).get("code") != -32603, (method, params)

    _run(ask_all)


def _run(work: Callable[[], Any]) -> None:
    anyio.run(work, backend_options={"use_uvloop": True})
