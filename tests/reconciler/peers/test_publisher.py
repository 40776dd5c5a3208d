"""The pace of the publisher, on a virtual clock."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from reconciler.peers.publisher import BURST, RATE, Pace

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_a_burst_is_free_and_then_there_is_a_rate() -> None:
    pace = Pace(BURST, RATE)
    begin = anyio.current_time()
    for _ in range(BURST):
        await pace.wait()
    assert anyio.current_time() == begin
    for _ in range(40):
        await pace.wait()
    assert anyio.current_time() - begin == pytest.approx(40 / RATE)


async def test_who_waits_may_write_a_burst_again() -> None:
    pace = Pace(BURST, RATE)
    for _ in range(BURST + 10):
        await pace.wait()
    await anyio.sleep(1000)
    begin = anyio.current_time()
    for _ in range(BURST):
        await pace.wait()
    assert anyio.current_time() == begin
