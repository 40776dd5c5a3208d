"""Where bodies end, however they are cut into pieces on the way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.protocol.body import LAST_CHUNK, BadBody, ChunkedBody, FixedBody, body_of, chunk

SIZES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def fed(data: bytes, cuts: list[int], *, length: int) -> tuple[bytes, bytes, bool]:
    """Payload, what is left over, and whether the end was seen, for data that comes in pieces."""
    body = body_of(length)
    payload, rest = b"", b""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        if body.done:
            rest += data[start:end]
            continue
        piece, left = body.feed(data[start:end])
        payload += piece
        rest += left
    return payload, rest, body.done


@given(SIZES, st.binary(max_size=50), st.lists(st.integers(0, 5000), max_size=20))
def test_chunks_come_out_as_they_went_in(pieces: list[bytes], after: bytes, cuts: list[int]) -> None:
    data = b"".join(chunk(piece) for piece in pieces) + LAST_CHUNK + after
    assert fed(data, cuts, length=-1) == (b"".join(pieces), after, True)


@given(st.binary(max_size=400), st.binary(max_size=50), st.lists(st.integers(0, 500), max_size=20))
def test_a_fixed_length_is_kept(payload: bytes, after: bytes, cuts: list[int]) -> None:
    if payload:
        assert fed(payload + after, cuts, length=len(payload)) == (payload, after, True)


@given(SIZES, st.lists(st.integers(0, 5000), max_size=20), st.integers(1, 6))
def test_without_the_last_chunk_it_is_not_done(pieces: list[bytes], cuts: list[int], missing: int) -> None:
    data = b"".join(chunk(piece) for piece in pieces) + LAST_CHUNK
    missing = min(missing, len(LAST_CHUNK))
    payload, rest, done = fed(data[:-missing], cuts, length=-1)
    assert (payload, rest, done) == (b"".join(pieces), b"", False)


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=20))
def test_any_bytes_are_taken_or_refused_alike_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    def outcome(cuts: list[int]) -> object:
        try:
            return fed(data, cuts, length=-1)
        except BadBody:
            return BadBody

    assert outcome(cuts) == outcome([])


def test_extensions_and_trailers_are_dropped() -> None:
    data = b'3;a=b;c="d e"\r\nabc\r\n0;last\r\nTrailer: x\r\nAtek-Auth-User: system\r\n\r\nGET'
    assert fed(data, [], length=-1) == (b"abc", b"GET", True)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\nx\r\n",
        b"0x1\r\nx\r\n",
        b" 1\r\nx\r\n",
        b"1 \r\nx\r\n",
        b"1_0\r\n",
        b"1\nx\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\n",
        b"1\r\nx\rz",
        b"1\r\r\nx\r\n",
        b"1;\x00\r\nx\r\n",
        b"1;" + b"e" * 300,
        b"1" * 16 + b"\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n: x\r\n\r\n",
        b"0\r\nA\x00: x\r\n\r\n",
        b"0\r\n" + b"A: " + b"x" * 9000 + b"\r\n\r\n",
        b"0\r\n" + b"A: x\r\n" * 3000 + b"\r\n",
    ],
)
def test_broken_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(BadBody):
        ChunkedBody().feed(data)
    with pytest.raises(BadBody):
        fed(data, list(range(len(data))), length=-1)


def test_nothing_is_no_chunk() -> None:
    assert chunk(b"") == b""
    assert FixedBody(0).done
