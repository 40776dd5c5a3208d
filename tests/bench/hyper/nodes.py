"""A service written into one node's records, until it is started on the node that follows it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from hyper.client import HyperClient
from manifests.documents.record import make_record, record_path
from tests.bench.beacons import Beacons
from tests.bench.hyper.results import Result, times
from tests.bench.processes import cpu_seconds
from tests.e2e.members import Member

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_WHEN = "2026-01-01T00:00:00Z"


def measure(count: int, seconds: float) -> list[Result]:
    """The times of `count` new services and as many new revisions; both nodes stay idle before and after."""
    beacons, laptop, pi = Beacons(), Member("laptop"), Member("pi")
    try:
        for node in (laptop, pi):
            node.up()
        for node in (laptop, pi):
            node.until(partial(_has_keys, node), "its keys are known")
        pi.follow(laptop)
        laptop.follow(pi, "--status-only")
        quiet = _idle(pi, seconds, "idle CPU of a node and its daemon", "0.5 %")
        started, rolled = anyio.run(_push, beacons, laptop, count)
        return [
            times("record pushed on one node → service started on another", started, "50 ms"),
            times("record changed on one node → new revision started on another", rolled, "50 ms"),
            quiet,
            _idle(pi, seconds, f"… that runs {count} services", "—"),
        ]
    finally:
        for node in (laptop, pi):
            node.close()
        beacons.close()


def _has_keys(node: Member) -> bool:
    return node.atek("key").returncode == 0


async def _push(beacons: Beacons, laptop: Member, count: int) -> tuple[list[float], list[float]]:
    async with _daemon(laptop) as hyper:
        db_id = (await hyper.create("records")).db_id
        taken: list[list[float]] = []
        for round_ in ("1", "2"):
            taken.append([])
            for number in range(count):
                name = f"app{number}"
                spec = {
                    "id": name, "command": beacons.command(name), "env": {"VALUE": round_},
                    "probes": {"readiness": "none"}, "nodes": ["pi"],
                }  # fmt: skip
                value = make_record(
                    spec, owner="system", updated_at="2026-01-01T00:00:00Z", updated_by="laptop"
                )
                begin = time.perf_counter()
                await hyper.put(db_id, record_path(f"{number:064x}"), value)
                heard = await anyio.to_thread.run_sync(beacons.until, {name}, round_)
                taken[-1].append(heard[name].at - begin)
        return taken[0], taken[1]


@asynccontextmanager
async def _daemon(node: Member) -> AsyncIterator[HyperClient]:
    client = HyperClient(str(node.home / "hyper.sock"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.run)
        await client.ready()
        yield client
        tasks.cancel_scope.cancel()


def _idle(node: Member, seconds: float, what: str, wanted: str) -> Result:
    assert node.node
    pids = [node.node.pid, node.pid("core.hyper")]
    time.sleep(5)
    before = cpu_seconds(pids)
    time.sleep(seconds)
    share = (cpu_seconds(pids) - before) / seconds
    return Result(what, f"{share * 100:.2f} % of a core", wanted, share)
