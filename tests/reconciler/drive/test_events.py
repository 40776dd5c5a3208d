"""The event log: a ring, and readers that cannot hold up the node."""

from __future__ import annotations

import anyio
import pytest

from reconciler.decide.event import EventRecord
from reconciler.drive.events import EventLog

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """What stands on anyio alone runs on both."""
    return str(request.param)


def event(number: int) -> EventRecord:
    return EventRecord(float(number), "notes", "Ready", str(number))


async def test_the_ring_keeps_the_last_ones() -> None:
    log = EventLog(kept=3)
    for number in range(5):
        log.add(event(number))
    assert [e.message for e in log.recent()] == ["2", "3", "4"]
    assert [e.message for e in log.recent(2)] == ["3", "4"]
    assert log.recent(0) == []


async def test_a_reader_gets_what_comes_after_it() -> None:
    log = EventLog()
    log.add(event(0))
    with log.subscribe() as events:
        log.add(event(1))
        assert (await anext(events)).message == "1"


async def test_a_waiting_reader_is_woken() -> None:
    log = EventLog()
    seen: list[str] = []

    async def read() -> None:
        with log.subscribe() as events:
            async for one in events:
                seen.append(one.message)
                if len(seen) == 3:
                    return

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            log.add(event(1))
            await anyio.wait_all_tasks_blocked()
            log.add(event(2))
            log.add(event(3))
    assert seen == ["1", "2", "3"]


async def test_a_slow_reader_loses_the_oldest() -> None:
    log = EventLog(reader_buffer=2)
    with log.subscribe() as slow, log.subscribe() as other:
        for number in range(5):
            log.add(event(number))
        assert [(await anext(slow)).message for _ in range(2)] == ["3", "4"]
        assert (await anext(other)).message == "3"


async def test_leaving_ends_the_iterator_and_forgets_the_reader() -> None:
    log = EventLog()
    with log.subscribe() as events:
        pass
    log.add(event(1))
    assert [e async for e in events] == []
