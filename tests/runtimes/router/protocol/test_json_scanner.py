"""The first level of any JSON text is found, however it is cut into slices, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.protocol.json_scanner import DEEPEST, MOST, NotJson, Scanner

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\[]{},: \u20ac'), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=40,
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, max_size=6) | st.lists(VALUES, max_size=6)
CUTS = st.integers(1, 300)


def scan(text: bytes, size: int) -> Scanner:
    found = Scanner()
    for at in range(0, len(text), size):
        found.feed(text[at : at + size])
    found.finish()
    return found


def first_level(text: bytes, size: int) -> Any:
    """What it found, made into a value again."""
    found = scan(text, size)
    values = [json.loads(text[begin:end]) for begin, end in found.spans]
    return dict(zip(found.names, values, strict=True)) if found.is_object else values


@given(DOCUMENTS, CUTS, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_what_json_knows_is_found(document: Any, size: int, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    assert first_level(text, size) == document


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize(
    "text",
    [
        rb'{"a\"b\\":"\\","c":["\\\"]","\\\\",{"}":"{"}],"d":-0.5e+3,"e":"\u20ac"}',
        rb'[["\\"],["\""],["]"],"\\\\\"",[[]],{},"",[""]]',
        b' \t\r\n{ "a" : [ 1 , 2 ] , "b" : { } } \n',
        b"[]",
        b" { } ",
        b"[true,false,null,0,-1.5E-7]",
        rb'{"\u0069d":1}',
        rb'{"\ud800":1,"\udc00\ud800":2}',
    ],
)
def test_texts_that_are_easily_misread(text: bytes, size: int) -> None:
    assert first_level(text, size) == json.loads(text)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"1", b'"a"', b"nul", b"{", b"[", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}',
        b"[1,]", b"[1 2]", b"{1:2}", b'{"a" 1}', b'{"a":1 "b":2}', b"[]]", b"{}}", b"{}{}", b"[1]x", b"[01]",
        b"[+1]", b"[1.]", b"[.5]", b"[tru]", b"[NaN]", b"['a']", b'["a]', b'["a\\"]', b"[[1}]", b'[{"a":1]]',
        b'[["a]]', b"[[\\]]", b'[[\\"a"]]', b"[[#]]", b'["\x01"]', b'[["\x01"]]', b'["\n"]', b'[["\n"]]',
        b'["\xff"]', b'[["\xff"]]', b"\xef\xbb\xbf[]", b'{"\x01":1}', rb'{"\q":1}', rb'{"\u00":1}',
        b"[[1],,[2]]", b"{,}", b"[,1]",
        b"[" * 2000, b"[" * 2000 + b"]" * 2000, b"[" + b"1," * 2000 + b"1]",
    ],
)  # fmt: skip
def test_texts_that_are_none(text: bytes, size: int) -> None:
    with pytest.raises(NotJson):
        scan(text, size)


@pytest.mark.parametrize(
    "text", [b"[[[,1]]]", b"[[1,,2]]", b'[["a""b"]]', b"[[{}{}]]", b"[[1,]]", b'[[{,"a":1}]]']
)
def test_most_mistakes_further_down_are_seen(text: bytes) -> None:
    with pytest.raises(NotJson):
        scan(text, 1000)


def test_depth_has_a_bound_and_what_is_within_it_is_found() -> None:
    deep = b"[" * DEEPEST + b"]" * DEEPEST
    for size in (7, 100, 5000):
        assert scan(b"[" + deep + b"," + deep + b"]", size).spans == [
            (1, 1 + 2 * DEEPEST), (2 + 2 * DEEPEST, 2 + 4 * DEEPEST),
        ]  # fmt: skip
        with pytest.raises(NotJson):
            scan(b"[" + b"[" * DEEPEST + deep + b"]" * DEEPEST + b"]", size)
        with pytest.raises(NotJson):
            scan(b"[" * 4 * DEEPEST + b"]" * 4 * DEEPEST, size)


def test_members_have_a_bound() -> None:
    assert len(scan(b"[" + b"1," * (MOST - 1) + b"1]", 100).spans) == MOST


@pytest.mark.parametrize(
    "unit",
    [b"{},", b"[{},{}],", b'"a",', b'{"a":["b",1.5,null]},', b'"\\"\\\\",', b"[" * 500 + b"]" * 500 + b","],
)
def test_memory_does_not_grow_with_the_text(unit: bytes) -> None:
    """A document of this would take a hundred times its length."""
    found, slice_ = Scanner(), unit * (16 * 1024 // len(unit) + 1)
    found.feed(b'{"id":1,"result":[')
    tracemalloc.start()
    try:
        for _ in range(64):
            found.feed(slice_)
        assert tracemalloc.get_traced_memory()[1] < 64 * len(slice_)
        assert tracemalloc.get_traced_memory()[0] < 64 * 1024
    finally:
        tracemalloc.stop()
    found.feed(b"0]}")
    found.finish()
    assert found.names == ["id", "result"]
