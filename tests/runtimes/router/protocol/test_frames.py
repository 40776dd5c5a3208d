"""Frames are counted right however they are cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.protocol.frames import SERVICE_RESTART, Frames, goodbye
from runtimes.router.protocol.tunnel import Tunnel
from tests.runtimes.router.frames import BINARY, TEXT, frame

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000)
MANY = [
    frame(kind, bytes(size), masked=masked, last=size % 2 == 0)
    for size in SIZES
    for kind in (TEXT, BINARY)
    for masked in (False, True)
]
DATA = b"".join(MANY)
ENDS = {0}
for _each in MANY:
    ENDS.add(max(ENDS) + len(_each))


@given(st.sets(st.integers(1, len(DATA) - 1), max_size=40))
def test_frames_end_where_they_end(cuts: set[int]) -> None:
    frames, begin = Frames(), 0
    for end in sorted(cuts | ENDS - {0}):
        assert frames.feed(DATA[begin:end]) == end - begin
        assert frames.between == (end in ENDS)
        begin = end


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_rest_of_a_frame_goes_on_and_no_more(size: int) -> None:
    for end in sorted(ENDS - {0})[:12]:
        tunnel = Tunnel(websocket=True)
        assert tunnel.take(DATA[: end - 1]) == DATA[: end - 1]
        tunnel.parting = True
        taken = b"".join(tunnel.take(DATA[place : place + size]) for place in range(end - 1, end + 20, size))
        assert taken == DATA[end - 1 : end]


def test_other_protocols_have_no_frames() -> None:
    tunnel = Tunnel(websocket=False)
    tunnel.parting = True
    assert tunnel.take(b"\x81\x7e anything") == b"\x81\x7e anything"


def test_goodbye() -> None:
    assert goodbye(SERVICE_RESTART, b"service restart") == frame(
        8, SERVICE_RESTART.to_bytes(2, "big") + b"service restart"
    )
