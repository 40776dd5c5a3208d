"""A large answer goes out as its client takes it, and others have their turns meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anyio.lowlevel
import pytest

from runtimes.router.carry.plane import Plane
from runtimes.router.carry.sending import PIECE, Sending
from runtimes.router.decide.decision import Answer
from tests.runtimes.router.harness import until
from tests.runtimes.router.heads import request

if TYPE_CHECKING:
    from runtimes.router.carry.client import Client

pytestmark = pytest.mark.anyio

ANSWER = bytes(range(256)) * 1024


class Reader:
    """A client that takes everything at once."""

    keeps = True
    peer = ""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.done = False

    def send(self, data: bytes) -> None:
        self.taken.append(bytes(data))

    def finish(self, *, keep: bool) -> None:
        self.done = keep


def sending_to(reader: Reader, plane: Plane) -> Sending:
    plane.metrics.in_flight += 1
    decision = Answer(request(), 200)
    pieces = [memoryview(ANSWER[:1000]), memoryview(ANSWER[1000:])]
    return Sending(
        plane, cast("Client", reader), decision, pieces, began=0.0, request_id=b"1", buffer=len(ANSWER)
    )


async def test_a_fast_reader_gets_one_piece_a_turn() -> None:
    plane, reader = Plane(), Reader()
    plane.buffered.take(len(ANSWER))
    sending_to(reader, plane).whole(b"")
    sizes = [0]
    while not reader.done:
        sizes.append(sum(map(len, reader.taken)))
        assert sizes[-1] <= sizes[-2] + PIECE + 1000
        await anyio.lowlevel.checkpoint()
    assert len(sizes) > len(ANSWER) // PIECE
    assert b"".join(reader.taken).partition(b"\r\n\r\n")[2] == ANSWER
    assert (plane.buffered.used, plane.metrics.in_flight) == (0, 0)


async def test_nothing_more_is_sent_to_who_is_lost_or_paused() -> None:
    plane, reader = Plane(), Reader()
    plane.buffered.take(len(ANSWER))
    sending = sending_to(reader, plane)
    sending.whole(b"")
    sending.client_paused()
    first = len(reader.taken)
    await until(lambda: sending._next is None)
    assert len(reader.taken) == first
    sending.client_resumed()
    sending.client_lost()
    taken = len(reader.taken)
    turns = iter(range(5))
    await until(lambda: next(turns, None) is None)
    assert (len(reader.taken), reader.done) == (taken, False)
    assert (plane.buffered.used, plane.metrics.in_flight) == (0, 0)
