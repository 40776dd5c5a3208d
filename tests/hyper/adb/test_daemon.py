"""The Atek Database on real daemons: what it promises while they come and go, and what others follow."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from hyper.adb.link import LinkedClient
from tests.hyper.adb.harness import RpcFailed, World
from tests.hyper.daemons import PATIENCE, Daemon, acquaint, ready, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.hyper.adb.harness import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("hyper-adb-daemon")]


@asynccontextmanager
async def on(daemon: Daemon) -> AsyncIterator[World]:
    """The Atek Database on this daemon, as its process runs it."""
    client = LinkedClient(daemon.socket)
    work = asyncio.get_running_loop().create_task(client.run())
    try:
        with anyio.fail_after(PATIENCE):
            await client.ready()
        async with World(client) as world:
            yield world
    finally:
        work.cancel()
        await asyncio.wait([work])


async def retried(caller: Caller, method: str, *params: Any) -> Any:
    """The result, once the daemon is there and lets itself be written to."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                return await caller(method, *params)
            except RpcFailed as error:
                if (error.data or {}).get("code") not in ("AWAY", "HELD", "NOT_FOUND", "NOT_SYNCED"):
                    raise
            await anyio.sleep(0.02)


async def test_records_and_databases() -> None:
    with Daemon() as daemon:
        async with running(daemon), on(daemon) as world:
            made = await world.notes("dbGetOrCreate", "main", {"access": "private"})
            db = made["dbId"]
            for key in ("b", "a/2", "a/10", "é"):
                put = await world.notes("recordPut", "main", f"t/{key}", {"key": key})
                assert await world.notes("recordGet", db, f"t/{key}") == put
            left = (await daemon.client.info(db)).version
            await world.notes("recordDelete", db, "t/b")
            await world.notes("recordPut", db, "t/c", {})
            listed = await world.notes("recordList", db, "t")
            assert [record["key"] for record in listed["records"]] == ["a/10", "a/2", "c", "é"]
            listed = await world.notes(
                "recordList", db, "t", {"gt": "a\0\uffff", "limit": 1, "reverse": True}
            )
            assert [record["key"] for record in listed["records"]] == ["é"]
            told = await world.notes("recordDiff", db, {"left": left})
            assert [sorted(each) for each in told] == [["left"], ["right"]]
            assert (await world.notes.refused("recordGet", db, "t/b")).message == "Not found: t,b"
            await world.bob.refused("recordGet", db, "t/c")
            assert [each["dbId"] for each in await world.notes("dbList")] == [db]


async def test_more_than_one_page() -> None:
    """Pages of the daemon, and ours, which are larger."""
    with Daemon() as daemon:
        async with running(daemon), on(daemon) as world:
            db = (await world.notes("dbCreate"))["dbId"]
            names = [f"{number:04}" for number in range(1203)]

            async def put(some: list[str]) -> None:
                for name in some:
                    await world.notes("recordPut", db, ["t", name], {"n": name})

            async with anyio.create_task_group() as tasks:
                for first in range(16):
                    tasks.start_soon(put, names[first::16])
            listed = (await world.notes("recordList", db, "t"))["records"]
            assert [record["value"]["n"] for record in listed] == names
            reverse = (await world.notes("recordList", db, "t", {"reverse": True, "limit": 1100}))["records"]
            assert [record["key"] for record in reverse] == names[::-1][:1100]


async def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed() -> None:
    with Daemon(HYPER_HOLD_MS="200") as daemon:
        async with running(daemon), on(daemon) as world:
            db = (await world.notes("dbGetOrCreate", "main"))["dbId"]
            feed = await world.notes.feed()
            await feed("subscribe", db, "t")
            await feed.next()
            done: list[int] = []
            enough = anyio.Event()

            async def write() -> None:
                for number in range(60):
                    await retried(world.notes, "recordPut", "main", ["t", f"{number:02}"], {"n": number})
                    done.append(number)
                    if number == 20:
                        enough.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                await enough.wait()
                daemon.kill()
                daemon.start()
            assert done == list(range(60))
            listed = (await retried(world.notes, "recordList", "main", "t"))["records"]
            assert [record["value"]["n"] for record in listed] == done
            heard: list[int] = []
            while len(set(heard)) < 60:
                method, told = await feed.next()
                records = told["records"] if method == "records" else told["changes"]
                heard += [each["value"]["n"] for each in records]
            # A write whose answer was lost may have been written twice.
            assert sorted(set(heard)) == done


async def test_another_nodes_database() -> None:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi), on(laptop) as ours, on(pi) as theirs:
            await acquaint(laptop, pi)
            db = (await theirs.bob("dbCreate"))["dbId"]
            await theirs.bob("recordPut", db, "cats/kit", {"lives": 9})
            got = await retried(ours.notes, "recordGet", db, "cats/kit")
            assert got["value"] == {"lives": 9}
            feed = await ours.notes.feed()
            await feed("subscribe", db)
            method, told = await feed.next()
            assert (method, [each["key"] for each in told["records"]]) == ("records", ["cats/kit"])
            await theirs.bob("recordPut", db, "cats/tom", {"lives": 1})
            method, told = await feed.next()
            assert (method, [each["key"] for each in told["changes"]]) == ("changes", ["cats/tom"])
            error = await ours.notes.refused("recordPut", db, "cats/tom", {})
            assert error.message == f"Not authorized to write {db}"
            assert (await ours.notes("dbDescribe", db))["writable"] is False


async def test_a_daemon_that_comes_later() -> None:
    with Daemon() as daemon:
        async with running(daemon):
            await ready(daemon)
        daemon.kill()
        client = LinkedClient(daemon.socket)
        work = asyncio.get_running_loop().create_task(client.run())
        async with World(client) as world, anyio.create_task_group() as tasks:

            async def ask() -> None:
                assert (await retried(world.notes, "dbGetOrCreate", "main"))["writable"] is True

            tasks.start_soon(ask)
            daemon.start(HYPER_HOLD_MS="1")
        work.cancel()
        await asyncio.wait([work])
