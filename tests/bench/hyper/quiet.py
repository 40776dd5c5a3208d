"""A daemon with nothing to do, and one whose peer was killed."""

from __future__ import annotations

import time

import anyio

from tests.bench.hyper.results import Result, times
from tests.bench.processes import cpu_seconds, proportional_memory
from tests.hyper.daemons import Daemon, acquaint, ready, retried, running
from tests.hyper.pairs import Watched


async def measure_reconnect(rounds: int) -> list[Result]:
    """From the start of a peer that was killed, to a write of it that is seen at the other one."""
    taken = []
    with Daemon("writer") as writer, Daemon("follower") as follower:
        async with running(writer, follower):
            await acquaint(follower, writer)
            db_id = (await writer.client.create("records")).db_id
            await writer.client.put(db_id, ("n",), 0)
            await follower.client.open(db_id)
            watched = Watched(follower.client.watch(db_id))
            await watched.listing()
            for number in range(max(3, rounds)):
                writer.kill()
                # Long enough for the other one to have tried in vain.
                await anyio.sleep(2 + number)
                begin = time.perf_counter()
                writer.start()
                await ready(writer)
                await retried(lambda: writer.client.put(db_id, ("n",), 1))
                await watched.changes(1)
                taken.append(time.perf_counter() - begin)
    return [times("peer killed and started again → its next write seen", taken, "5 s")]


async def measure_idle(seconds: float) -> list[Result]:
    with Daemon("one") as one, Daemon("other") as other:
        async with running(one, other):
            await acquaint(other, one)
            db_id = (await one.client.create("records")).db_id
            await one.client.put(db_id, ("n",), 0)
            await other.client.open(db_id)
            await other.client.sync(db_id, timeout=60)
            await anyio.sleep(5)
            pids = [daemon.process.pid for daemon in (one, other) if daemon.process]
            before = cpu_seconds(pids)
            await anyio.sleep(seconds)
            share = (cpu_seconds(pids) - before) / seconds / len(pids)
            memory = max(proportional_memory([pid]) for pid in pids)
    return [
        Result(
            "idle CPU of a connected daemon", f"{share * 100:.2f} % of a core", "0.5 % with the node", share
        ),
        Result("idle memory of a connected daemon (PSS)", f"{memory:.0f} MiB", "80 MB", memory),
    ]
