"""JSON-RPC 2.0: what is delivered, and that the caller's id comes back whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.protocol import jsonrpc
from runtimes.router.protocol.jsonrpc import Call, Malformed

IDS = st.one_of(st.none(), st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))


def call(**more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "m", "params": [], **more}


def only(body: bytes) -> Call | Malformed:
    (found,) = jsonrpc.parse(body).calls
    return found


def code(body: bytes) -> int:
    error: int = json.loads(body)["error"]["code"]
    return error


def test_the_usual_form_goes_out_as_it_came() -> None:
    body = b' {"jsonrpc":"2.0", "id":"a", "method":"m", "params":[1, 12345678901234567890123, 1.50]}'
    assert jsonrpc.single(body) == "a"
    assert only(body) == Call(body, "a", False, "m")


@pytest.mark.parametrize(
    "value",
    [
        call(id=True), call(id=[]), call(id={}), call(jsonrpc="1.0"), call(jsonrpc=2.0), call(method=1),
        call(method=None), call(params=1), call(params="x"), {"jsonrpc": "2.0", "id": 1},
        {"id": 1, "method": "m"}, 1, "x", None, True, [[]], [1],
    ],
)  # fmt: skip
def test_what_is_no_request_is_said_to_be_none(value: Any) -> None:
    body = json.dumps(value).encode()
    assert jsonrpc.single(body) is None
    found = only(body)
    assert isinstance(found, Malformed)
    answer = json.loads(found.answer)
    assert answer["error"]["code"] == -32600
    has_id = isinstance(value, dict) and type(value.get("id")) is int
    assert answer["id"] == (value["id"] if has_id else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"\xff",
        b'{"a":NaN}',
        b"[1,]",
        b"{}{}",
        b"[" * 5000,
        b"[" * 500_000,
        b'{"a":' * 5000,
    ],
)
def test_what_is_no_json_is_a_parse_error(body: bytes) -> None:
    found = only(body)
    assert isinstance(found, Malformed)
    assert code(found.answer) == -32700
    assert json.loads(found.answer)["id"] is None


@pytest.mark.parametrize(("body", "message"), [(b"[]", "empty"), (b"[" + b"1," * 1000 + b"1]", "at most")])
def test_batches_have_their_bounds(body: bytes, message: str) -> None:
    found = only(body)
    assert isinstance(found, Malformed) and message in found.answer.decode()
    assert code(found.answer) == -32600


def test_params_reach_a_service_as_a_list_unless_they_are_named() -> None:
    for value in ({"jsonrpc": "2.0", "id": 1, "method": "m"}, call(params=None)):
        found = only(json.dumps(value).encode())
        assert isinstance(found, Call)
        assert json.loads(found.body)["params"] == []
    named = only(json.dumps(call(params={"a": 1})).encode())
    assert isinstance(named, Call)
    assert json.loads(named.body)["params"] == {"a": 1}


def test_a_notification_is_one_that_has_no_id() -> None:
    silent = only(b'{"jsonrpc":"2.0","method":"m","params":[]}')
    told = only(b'{"jsonrpc":"2.0","method":"m","params":[],"id":null}')
    assert isinstance(silent, Call) and isinstance(told, Call)
    assert (silent.notification, told.notification) == (True, False)


def test_a_batch_keeps_its_order_and_its_broken_parts() -> None:
    body = json.dumps([call(id=1), 7, call(id="b", method=None), {"jsonrpc": "2.0", "method": "n"}]).encode()
    incoming = jsonrpc.parse(body)
    assert incoming.batch
    kinds = [type(each) for each in incoming.calls]
    assert kinds == [Call, Malformed, Malformed, Call]


@given(IDS)
def test_ids_of_every_kind_come_back_whatever_the_service_says(call_id: Any) -> None:
    found = only(json.dumps(call(id=call_id)).encode())
    assert isinstance(found, Call)
    honest = json.dumps({"jsonrpc": "2.0", "id": call_id, "result": 1}).encode()
    for body in (
        honest,
        b'{"jsonrpc":"2.0","id":"other","result":1}',
        b'{"result":1}',
        b'{"id":null,"result":1}',
    ):
        answer = json.loads(jsonrpc.answer(found.id, body, "s"))
        assert answer == {"jsonrpc": "2.0", "id": call_id, "result": 1}
        assert type(answer["id"]) is type(call_id)


@pytest.mark.parametrize(
    "text", ["1", "-0", "1.0", "1.50", "1e3", "2" * 80, "-" + "9" * 30, '""', '"\\ud800"', "null"]
)
def test_an_id_comes_back_as_the_number_it_was(text: str) -> None:
    body = f'{{"jsonrpc":"2.0","id":{text},"method":"m","params":[]}}'.encode()
    found = only(body)
    assert isinstance(found, Call)
    for answer in (
        b'{"jsonrpc":"2.0","id":0,"result":[]}',
        f'{{"jsonrpc":"2.0","id":{text},"result":[]}}'.encode(),
    ):
        given = json.loads(jsonrpc.answer(found.id, answer, "s"))["id"]
        assert given == json.loads(text) and type(given) is type(json.loads(text))


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1" * 5000])
@pytest.mark.parametrize("batch", [False, True])
def test_an_id_that_could_not_be_given_back_is_none(text: str, *, batch: bool) -> None:
    """Also where somebody tries it in each place where an id is written down again."""
    for members in ('"method":"m","params":[]', '"method":"m"', '"method":"m","params":{}', '"method":1'):
        body = f'{{"jsonrpc":"2.0","id":{text},{members}}}'
        found = only(f"[{body}]".encode() if batch else body.encode())
        assert isinstance(found, Malformed)
        assert code(found.answer) in (-32600, -32700)
        assert json.loads(found.answer)["id"] is None


def test_a_number_out_of_all_range_spoils_its_own_call_alone() -> None:
    wide = b'{"jsonrpc":"2.0","id":1,"method":"m","params":[1e400]}'
    good = b'{"jsonrpc":"2.0","id":2,"method":"m","params":[1]}'
    first, second = jsonrpc.parse(b"[%b,%b]" % (wide, good)).calls
    assert isinstance(first, Malformed) and isinstance(second, Call)
    assert (code(first.answer), json.loads(first.answer)["id"]) == (-32600, 1)
    # Alone it goes out as it came: what it means is the service's to say.
    assert only(wide) == Call(wide, 1, False, "m")


def test_the_id_of_what_is_no_request_comes_back_exactly() -> None:
    found = only(b'{"jsonrpc":"2.0","id":%d}' % 2**80)
    assert isinstance(found, Malformed)
    assert json.loads(found.answer)["id"] == 2**80


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_json_is_utf_8(encoding: str) -> None:
    body = json.dumps(call(params=["é"]), ensure_ascii=False).encode(encoding)
    found = only(body)
    assert isinstance(found, Malformed) and code(found.answer) == -32700
    reply = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "é"}, ensure_ascii=False).encode(encoding)
    assert code(jsonrpc.answer(1, reply, "s")) == -32700


def test_half_a_character_is_no_utf_8_but_may_be_spelled_out() -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"m","params":["%b"]}'
    raw, spelled = only(body % b"\xed\xa0\x80"), only(body % b"\\ud800")
    assert isinstance(raw, Malformed) and code(raw.answer) == -32700
    assert spelled == Call(body % b"\\ud800", 1, False, "m")


@pytest.mark.parametrize("depth", range(900, 1030, 3))
def test_nesting_at_the_edge_of_what_can_be_read_or_written(depth: int) -> None:
    """What can be read by one library may be too deep for another, or too deep to be written."""
    nested = b"[" * depth + b"]" * depth
    for template in (
        b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":%b}}',
        b'[{"jsonrpc":"2.0","id":1,"method":"m","params":%b}]',
        b'{"jsonrpc":"2.0","id":%b}',
        b"[%b]",
    ):
        assert jsonrpc.parse(template % nested).calls
        assert jsonrpc.parse(template % nested, plain=True).calls
    assert json.loads(jsonrpc.answer(1, b'{"id":2,"result":%b}' % nested, "s"))["id"] == 1


@pytest.mark.parametrize(
    ("body", "method"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"a","method":"b","params":[]}', "b"),
        (b'{"jsonrpc":"2.0","id":1,"params":[1],"params":[],"method":"b"}', "b"),
    ],
)
def test_of_two_members_with_one_name_the_last_counts(body: bytes, method: str) -> None:
    found = only(body)
    assert isinstance(found, Call) and found.method == method


def test_numbers_in_results_are_kept_where_the_id_has_to_be_mended() -> None:
    body = b'{"id":2,"result":{"big":12345678901234567890123,"small":1e-9}}'
    answer = jsonrpc.answer(1, body, "s")
    assert b"12345678901234567890123" in answer
    assert json.loads(answer)["id"] == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", -32700),
        (b"<html>", -32700),
        (b'{"jsonrpc":"2.0","id":1,"result":NaN}', -32700),
        (b"7", -32002),
        (b"[]", -32002),
        (b'"abc"', -32002),
        (b"{}", -32002),
        (b'{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":"m"}}', -32002),
        (b'{"jsonrpc":"2.0","id":1,"error":"oops"}', -32002),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"m"}}', -32002),
        (b'{"jsonrpc":"2.0","id":1,"error":null}', -32002),
        (b"[" * 100_000, -32700),
    ],
)
def test_answers_that_are_none_become_errors(body: bytes, expected: int) -> None:
    answer = jsonrpc.answer(1, body, "notes")
    assert code(answer) == expected
    assert json.loads(answer)["id"] == 1
    assert "notes" in json.loads(answer)["error"]["message"]


def test_an_error_is_passed_on_with_all_it_has() -> None:
    error = {"code": -32003, "message": "no", "data": {"why": ["x"]}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    assert jsonrpc.answer(1, body, "s") == body
    assert json.loads(jsonrpc.answer(2, body, "s")) == {"jsonrpc": "2.0", "id": 2, "error": error}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":5,"error":null}', {"result": 5}),
        (
            b'{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":"m"}}',
            {"error": {"code": 1, "message": "m"}},
        ),
    ],
)
def test_a_null_beside_the_other_is_tolerated(body: bytes, expected: dict[str, Any]) -> None:
    assert json.loads(jsonrpc.answer(1, body, "s")) == {"jsonrpc": "2.0", "id": 1, **expected}


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_apart_and_any_answer_is_one(data: bytes) -> None:
    for each in jsonrpc.parse(data).calls:
        if isinstance(each, Malformed):
            json.loads(each.answer)
        else:
            json.loads(each.body)
    answer = json.loads(jsonrpc.answer(1, data, "s"))
    assert answer["id"] == 1 and ("result" in answer) != ("error" in answer)


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"secret","method":"login","params":[1.50]}',
        b'{"jsonrpc":"2.0","id":1,"method":"login","Method":"secret","params":[1.50],"params ":2}',
        b'{"jsonrpc":"2.0","id":1,"params":{"method":"secret"},"params":[1.50],"method":"login","x":{}}',
    ],
)
def test_plainly_only_what_was_looked_at_goes_out(body: bytes) -> None:
    wanted = Call(b'{"jsonrpc":"2.0","id":1,"method":"login","params":[1.5]}', 1, False, "login")
    assert jsonrpc.parse(body, plain=True).calls == (wanted,)
    assert jsonrpc.parse(b"[%b,%b]" % (body, body), plain=True).calls == (wanted, wanted)


def test_what_is_wrong_is_wrong_plainly_too() -> None:
    for body in (
        b"1",
        b"[]",
        b"{",
        b'{"method":"m"}',
        b"[[{}]]",
        b"[1]",
        b'{"jsonrpc":"2.0","id":[],"method":"m"}',
    ):
        assert jsonrpc.parse(body, plain=True) == jsonrpc.parse(body)
