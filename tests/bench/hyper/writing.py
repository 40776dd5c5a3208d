"""A write that is synced to the disk, and when it is seen: here, and at a follower."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.hyper.results import times
from tests.hyper.daemons import Daemon, acquaint, running
from tests.hyper.pairs import Watched

if TYPE_CHECKING:
    from tests.bench.hyper.results import Result

VALUE = {"id": "notes", "text": "as long as a small manifest is, more or less" * 4}


async def measure(count: int) -> list[Result]:
    with Daemon("writer") as writer, Daemon("follower") as follower:
        async with running(writer, follower):
            db_id = (await writer.client.create("records")).db_id
            acknowledged, seen = await _write(writer, Watched(writer.client.watch(db_id)), db_id, count)
            await acquaint(follower, writer)
            await follower.client.open(db_id)
            await follower.client.sync(db_id, timeout=60)
            _, followed = await _write(writer, Watched(follower.client.watch(db_id)), db_id, count // 4)
    return [
        times("put, synced to the disk and acknowledged in Python", acknowledged, "—"),
        times("put → change seen in Python", seen, "1.5 ms"),
        times("put → change seen in Python at a follower", followed, "—"),
    ]


async def _write(writer: Daemon, watched: Watched, db_id: str, count: int) -> tuple[list[float], list[float]]:
    """Seconds to the acknowledgement, and to the notice, of each write."""
    await writer.client.put(db_id, ("first",), VALUE)
    await watched.listing()
    acknowledged, seen = [], []
    for number in range(count):
        begin = time.perf_counter()
        await writer.client.put(db_id, ("example.com", "thing", str(number)), VALUE)
        acknowledged.append(time.perf_counter() - begin)
        await watched.changes(1)
        seen.append(time.perf_counter() - begin)
    return acknowledged, seen
