"""What arrives on the daemon's socket, in whatever pieces and however mad."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyper.encoding.wire import (
    LONGEST_LINE,
    Lines,
    changed_of,
    changes_page_of,
    database_of,
    differences_page_of,
    drive_of,
    error_of,
    op_of,
    optional_record_of,
    position_of,
    records_page_of,
    request_line,
    result_of,
    status_of,
    understand,
    watch_of,
)
from hyper.port import Code, HyperError, Write

if TYPE_CHECKING:
    from collections.abc import Callable

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)
#: Like what the daemon sends, with anything at all where it matters.
_NAMES = (
    "changes",
    "records",
    "path",
    "seq",
    "value",
    "version",
    "fork",
    "from",
    "to",
    "left",
    "right",
    "key",
)
almost_results = st.dictionaries(
    st.sampled_from(_NAMES),
    json_values | st.lists(json_values | st.dictionaries(st.sampled_from(_NAMES), json_values), min_size=1),
)
CONVERTERS = [
    changed_of, changes_page_of, database_of, differences_page_of, drive_of, optional_record_of, position_of,
    records_page_of, status_of, watch_of,
]  # fmt: skip


@given(st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_come_out_as_they_went_in_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)))))
    reader, found = Lines(), []
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        found += list(reader.feed(sent[start:end]))
    assert found == lines


def test_a_line_without_an_end_is_not_kept() -> None:
    reader, chunk = Lines(), bytes(2**20).replace(b"\0", b"x")
    with pytest.raises(HyperError) as error:
        for _ in range(LONGEST_LINE // len(chunk) + 1):
            assert list(reader.feed(chunk)) == []
    assert error.value.code == "INTERNAL"


def test_only_lines_are_bounded_and_not_what_comes_in_all() -> None:
    reader, line = Lines(), b"x" * (LONGEST_LINE // 4)
    assert [list(reader.feed(line + b"\n")) for _ in range(6)] == [[line]] * 6


@given(st.integers(1), json_values)
def test_a_request_is_one_line(number: int, value: Any) -> None:
    line = request_line(number % 2**32, "rec.put", {"value": value})
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line)["params"] == {"value": value}


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, b"x", "\ud800", 2**53, 2**70],
    ids=["object", "number as key", "bytes", "surrogate", "unsafe", "huge"],
)
def test_what_is_no_json_is_not_sent(value: object) -> None:
    with pytest.raises(HyperError) as error:
        request_line(1, "rec.put", {"value": value})
    assert error.value.code == "BAD_REQUEST"


@pytest.mark.parametrize("code", get_args(Code))
def test_an_error_keeps_its_code_and_hint(code: Code) -> None:
    error = error_of({"code": -32000, "message": "no", "data": {"code": code, "hint": "do this"}})
    assert (error.code, error.message, error.hint) == (code, "no", "do this")


@given(json_values)
def test_whatever_an_error_is_it_becomes_one_of_ours(value: Any) -> None:
    assert error_of(value).code in get_args(Code)


@given(st.dictionaries(st.sampled_from(["error", "result", "id"]), json_values))
def test_an_answer_has_a_result_or_fails(answer: dict[str, Any]) -> None:
    try:
        assert result_of(answer) == answer["result"]
    except HyperError:
        assert answer.get("error") is not None or "result" not in answer


@pytest.mark.parametrize("convert", CONVERTERS, ids=lambda convert: convert.__name__)
@example(value={"changes": ["x"], "version": 1, "fork": 0, "from": 0, "to": 1})
@given(value=json_values | almost_results)
def test_whatever_a_result_is_nothing_but_our_errors_comes_of_it(
    convert: Callable[[Any], object], value: Any
) -> None:
    try:
        understand(convert, value)
    except HyperError as error:
        assert error.code == "INTERNAL"


def test_writes() -> None:
    assert op_of(Write(("a", "b"), None)) == {"path": ["a", "b"], "value": None}
    assert op_of(Write(("a",), deleted=True)) == {"path": ["a"], "deleted": True}
