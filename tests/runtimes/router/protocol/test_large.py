"""Large answers and calls mean what small ones mean, though they are never taken apart at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtimes.router.protocol import jsonrpc, large
from runtimes.router.protocol.jsonrpc import Call, Malformed
from tests.runtimes.router.protocol.test_json_scanner import SCALARS, VALUES

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")
IDS = st.none() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False)
BIG = "x" * 2 * large.SMALL


def finished(work: Generator[None, None, T]) -> tuple[T, int]:
    """The result, and how many pieces it took."""
    count = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, count
        count += 1


def read(body: bytes) -> Any:
    """What is written anew has numbers beyond 64 bits as JavaScript reads them."""
    return json.loads(body, parse_int=lambda text: int(text) if abs(int(text)) < 2**63 else float(text))


def answer(call_id: Any, body: bytes) -> bytes:
    return b"".join(finished(large.answer(call_id, body, "notes"))[0])


ERRORS = st.fixed_dictionaries(
    {"code": st.integers(), "message": st.text(max_size=5)}, optional={"data": VALUES}
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2.0]),
        "id": IDS,
        "result": VALUES,
        "error": st.none()
        | st.fixed_dictionaries(
            {"code": st.integers(), "message": st.text(max_size=5)}, optional={"data": VALUES}
        )
        | SCALARS,
        "more": VALUES,
    },
)


@example(None, {"id": None, "jsonrpc": "2.0", "error": None, "result": None})
@example(1, {"id": 1, "jsonrpc": "2.0", "error": "x", "result": None})
@example(1, {"id": 1, "jsonrpc": "2.0", "error": {"code": 1, "message": "x"}, "result": None})
@example(None, {"id": None, "result": -(2**63) - 1})
@given(IDS, MEMBERS | VALUES)
def test_an_answer_means_what_it_means_when_it_is_small(call_id: Any, value: Any) -> None:
    body = json.dumps(value).encode()
    if value.__class__ not in (dict, list):
        return
    ours, theirs = map(read, (answer(call_id, body), jsonrpc.answer(call_id, body, "notes")))
    # Members beside those that mean something may go where the answer is written anew.
    for each in (ours, theirs):
        each.pop("more", None)
        each.setdefault("id", call_id)
    assert ours == theirs


def test_the_callers_id_is_put_in_and_nothing_is_written_anew() -> None:
    part = b'{"n": 1.50, "deep": [' + b"{}," * 10_000 + b'"\\u20ac"]}'
    for body in (
        b'{"jsonrpc":"2.0","id":2,"result":' + part + b"}",
        b'{"result":' + part + b',"id":2,"jsonrpc":"2.0"}',
        b'{"result":' + part + b"}",
        b'{"jsonrpc":"2.0","id":1,"result":' + part + b',"id":2}',
        b'{"jsonrpc":"2.0","id":1,"result":' + part + b',"error":null}',
        b'{"jsonrpc":"2.0","id":1,"result":7,"result":' + part + b"}",
        b'{"jsonrpc":"2.0","i\\u0064":2,"result":' + part + b"}",
        b'{"jsonrpc":"2.0","\\ud800":2,"result":' + part + b"}",
    ):
        assert answer(1, body) == b'{"jsonrpc":"2.0","id":1,"result":' + part + b"}"
    own = b'{ "jsonrpc":"2.0","id":1,"result":' + part + b" }\n"
    assert answer(1, own) == own
    assert answer(True, own).startswith(b'{"jsonrpc":"2.0","id":true,')


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"result":[' + b"{}," * 10_000 + b"}", -32700),
        (b'{"result":"' + b"x" * 100_000, -32700),
        (rb'{"\q":1,"result":"' + b"x" * 100_000 + b'"}', -32700),
        (b'{"result":[' + b"1," * 10_000 + b"\xff]}", -32700),
        (b"x" * 100_000, -32700),
        (b"[" + b"1," * 900 + b"1]", -32002),
        (b"[" + b"1," * 10_000 + b"1]", -32002),
        (b'{"jsonrpc":"2.0","id":1,"other":"' + b"x" * 100_000 + b'"}', -32002),
        (b'{"result":1,"error":{"code":1,"message":"' + b"x" * 100_000 + b'"}}', -32002),
        (b'{"error":"' + b"x" * 100_000 + b'"}', -32002),
    ],
)
def test_what_is_no_answer_is_an_error(body: bytes, code: int) -> None:
    told = json.loads(answer(7, body))
    assert (told["id"], told["error"]["code"]) == (7, code)


def test_a_large_error_is_passed_on() -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": 5, "message": BIG}}).encode()
    assert answer(1, body) == body


def test_the_work_is_in_small_pieces() -> None:
    body = b'{"jsonrpc":"2.0","id":2,"result":[' + b"{}," * 100_000 + b"1]}"
    assert finished(large.answer(1, body, "notes"))[1] >= len(body) // large.SLICE
    assert finished(large.parse(b"[" + body + b"]"))[1] >= 2 * (len(body) // large.SLICE)


# -- calls


def parsed(value: Any) -> tuple[Any, ...]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    incoming = finished(large.parse(body))[0]
    small = jsonrpc.parse(body)
    assert incoming.batch == small.batch and len(incoming.calls) == len(small.calls)
    for ours, theirs in zip(incoming.calls, small.calls, strict=True):
        assert type(ours) is type(theirs)
        if isinstance(ours, Call) and isinstance(theirs, Call):
            assert (ours.id, ours.notification, ours.method) == (
                theirs.id,
                theirs.notification,
                theirs.method,
            )
            ours_said, theirs_said = json.loads(ours.body), json.loads(theirs.body)
            assert ours_said == {name: theirs_said[name] for name in ours_said}
        elif isinstance(ours, Malformed) and isinstance(theirs, Malformed):
            assert json.loads(ours.answer) == json.loads(theirs.answer)
    return incoming.calls


def usual(**more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "echo", "params": [BIG], **more}


@pytest.mark.parametrize(
    "value",
    [
        usual(),
        usual(params={"a": BIG}),
        usual(params=None, more=BIG),
        usual(params="x" + BIG),
        usual(id=1.5),
        usual(id=[BIG]),
        usual(jsonrpc="1.0"),
        usual(method=5),
        {"jsonrpc": "2.0", "method": "note", "params": [BIG]},
        {"jsonrpc": "2.0", "id": "a", "method": "echo", "x": BIG},
        [usual(), usual(id=2), 5, {"jsonrpc": "2.0", "method": "note", "params": [1]}, usual(more=BIG)],
        [1] * 999,
        [1] * 1001,
        [],
        [[BIG]],
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":["' + b"x" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"a","method":"b","params":[1],"params":["'
        + b"x" * 99_999
        + b'"]}',
    ],
)
def test_a_call_means_what_it_means_when_it_is_small(value: Any) -> None:
    parsed(value)


def test_of_two_members_with_one_name_the_service_gets_the_one_that_was_looked_at() -> None:
    text = b'{"jsonrpc":"2.0","id":1,"method":"a","params":["%b"],"method":"b"}' % (b"x" * 99_999)
    (only,) = parsed(text)
    assert only.body.count(b'"method"') == 1 and only.method == json.loads(only.body)["method"] == "b"


def test_numbers_stay_as_they_were_written() -> None:
    text = b'{"id":1.0e2,"jsonrpc":"2.0","method":"a","params":[0.10,%b]}' % (
        b"12345678901234567890," * 9999 + b"1"
    )
    (only,) = parsed(text)
    assert b'"params":[0.10,12345678901234567890,' in only.body and b'"id":1.0e2' in only.body
