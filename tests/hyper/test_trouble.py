"""Daemons that are killed, that find no room or a store that is not theirs, and servers that are none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

import anyio
import pytest

from hyper.client import HyperClient
from hyper.port import Changes, HyperError, Listing, Peer, Write
from tests.hyper.daemons import PATIENCE, Daemon, acquaint, ready, retried, running
from tests.hyper.pairs import Watched, until, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


# -- the daemon dies


async def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed_under_writes() -> None:
    acknowledged: dict[str, int] = {}
    with Daemon() as daemon:
        async with running(daemon):
            db_id = (await daemon.client.create("records")).db_id

            async def write(writer: int) -> None:
                for number in range(10**6):
                    path = (f"{writer}",)
                    try:
                        await daemon.client.put(db_id, path, number)
                    except HyperError as error:
                        assert error.code in ("AWAY", "NOT_FOUND"), error
                        await anyio.sleep(0.01)
                    else:
                        acknowledged[path[0]] = number

            async with anyio.create_task_group() as tasks:
                for writer in range(8):
                    tasks.start_soon(write, writer)
                for round_ in range(4):
                    await until(_grown(acknowledged, by=200))
                    daemon.kill()
                    daemon.start()
                    await ready(daemon)
                    before = dict(acknowledged)
                    found = values(await retried(lambda: daemon.client.list(db_id)))
                    for writer_, number in before.items():
                        assert found[(writer_,)] >= number, f"round {round_}"  # type: ignore[operator]
                tasks.cancel_scope.cancel()


async def test_what_is_in_flight_fails_and_what_comes_later_does_not() -> None:
    with Daemon() as daemon:
        async with running(daemon):
            db_id = (await daemon.client.create("records")).db_id
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_kill_soon, daemon)
                failed = await _first_failure(lambda: daemon.client.put(db_id, ("a",), 1))
            assert failed.code == "AWAY" and failed.hint
            daemon.start()
            await retried(lambda: daemon.client.put(db_id, ("a",), 2))
            record = await daemon.client.get(db_id, ("a",))
            assert record is not None and record.value == 2


async def test_a_watch_goes_on_where_it_was() -> None:
    with Daemon() as daemon:
        async with running(daemon):
            db_id = (await daemon.client.create("records")).db_id
            await daemon.client.put(db_id, ("n",), 0)
            watched = Watched(daemon.client.watch(db_id))
            await watched.listing()
            for number in range(1, 4):
                await retried(lambda number=number: daemon.client.put(db_id, ("n",), number))
                event = await watched.next()
                assert isinstance(event, Changes)
                assert [each.value for each in event.changes] == [number]
                daemon.kill()
                daemon.start()
                await ready(daemon)


async def test_peers_find_each_other_again_when_one_was_killed() -> None:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi):
            await acquaint(pi, laptop)
            db_id = (await laptop.client.create("records")).db_id
            await laptop.client.put(db_id, ("n",), 0)
            await pi.client.open(db_id)
            watched = Watched(pi.client.watch(db_id))
            await watched.listing()
            for number, victim in enumerate((laptop, pi, laptop), start=1):
                victim.kill()
                victim.start()
                await ready(victim)
                await retried(lambda number=number: laptop.client.put(db_id, ("n",), number))
                event = await watched.next()
                assert isinstance(event, Changes)
                assert [each.value for each in event.changes] == [number]


async def test_who_was_away_for_10000_versions_has_them_all_afterwards() -> None:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi):
            await acquaint(pi, laptop)
            db_id = (await laptop.client.create("records")).db_id
            await laptop.client.put(db_id, ("n", "0"), 0)
            await pi.client.open(db_id)
            watched = Watched(pi.client.watch(db_id))
            await watched.listing()
            pi.kill()
            for start in range(0, 10_500, 500):
                writes = [Write(("n", str(start + number)), start) for number in range(500)]
                await laptop.client.batch(db_id, writes)
            pi.start()
            known: dict[tuple[str, ...], object] = {("n", "0"): 0}
            while len(known) < 10_500 or known[("n", "0")] != 0:
                event = await watched.next()
                if isinstance(event, Listing):
                    known = values(event.records)
                else:
                    assert isinstance(event, Changes)
                    known |= {each.path: each.value for each in event.changes}
            assert known == values(await laptop.client.list(db_id))


# -- peers that are not who they should be


async def test_a_peer_with_another_key_than_the_one_pinned_gets_nothing() -> None:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi):
            await pi.client.allow([(await laptop.peer()).key])
            await laptop.client.add_peer(Peer("127.0.0.1", pi.port, "ab" * 32))
            db_id = (await laptop.client.create("records")).db_id
            await laptop.client.put(db_id, ("a",), 1)
            await pi.client.open(db_id)
            with pytest.raises(HyperError) as error:
                await pi.client.sync(db_id, timeout=1)
            assert error.value.code == "TIMEOUT"
            assert list((await laptop.client.status()).peers) == []


async def test_who_is_not_allowed_gets_nothing() -> None:
    with Daemon("laptop") as laptop, Daemon("stranger") as stranger:
        async with running(laptop, stranger):
            db_id = (await laptop.client.create("records")).db_id
            await laptop.client.put(db_id, ("a",), 1)
            await stranger.client.add_peer(await laptop.peer())
            await stranger.client.open(db_id)
            with pytest.raises(HyperError) as error:
                await stranger.client.sync(db_id, timeout=1)
            assert error.value.code == "TIMEOUT"
            assert list((await laptop.client.status()).peers) == []


async def test_garbage_on_the_peers_port_does_no_harm() -> None:
    with Daemon("laptop") as laptop, Daemon("pi") as pi:
        async with running(laptop, pi), AsyncExitStack() as connections:
            for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\0" * 100_000):
                stream = await anyio.connect_tcp("127.0.0.1", laptop.port)
                await connections.enter_async_context(stream)
                with suppress(anyio.BrokenResourceError):
                    await stream.send(garbage)
            await _works(laptop, pi)


async def _works(laptop: Daemon, pi: Daemon) -> None:
    await acquaint(pi, laptop)
    db_id = (await laptop.client.create("records")).db_id
    await pi.client.open(db_id)
    await laptop.client.put(db_id, ("a",), 1)
    await pi.client.sync(db_id, timeout=PATIENCE)


# -- the disk


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _fill(file: Path) -> None:
    with open(file, "wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(65536))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
async def test_a_full_disk_refuses_writes_and_loses_none(tmp_path: Path) -> None:
    with small_disk(tmp_path, "48m"), Daemon(folder=tmp_path / "d") as daemon:
        async with running(daemon):
            db_id = (await daemon.client.create("records")).db_id
            await daemon.client.put(db_id, ("small",), 1)
            filler = tmp_path / "filler"
            _fill(filler)
            numbers = count()
            failed = await _first_failure(
                lambda: daemon.client.put(db_id, ("large", str(next(numbers))), "x" * 100_000)
            )
            assert failed.code == "NO_SPACE" and failed.hint, failed
            written = next(numbers) - 1
            assert values(await daemon.client.list(db_id))[("small",)] == 1
            filler.unlink()
            # Nothing broke: it goes on as soon as there is room.
            await daemon.client.put(db_id, ("after",), 2)
            assert daemon.process is not None and daemon.process.poll() is None
            found = values(await daemon.client.list(db_id))
            assert found[("small",)] == 1 and found[("after",)] == 2
            assert {("large", str(number)) for number in range(written)} <= found.keys()


async def test_a_store_is_opened_by_one_daemon_and_not_by_copy(tmp_path: Path) -> None:
    with Daemon() as daemon:
        async with running(daemon):
            await daemon.client.create("records")
            other = Daemon(folder=daemon.root / "other")
            other.root.mkdir()
            other.start(HYPER_STORE=str(daemon.root / "store"))
            assert other.process is not None and other.process.wait(PATIENCE) != 0
            assert "STORE_LOCKED" in other.log()
        daemon.kill()
        shutil.copytree(daemon.root / "store", tmp_path / "store", symlinks=True)
        other.start(HYPER_STORE=str(tmp_path / "store"))
        assert other.process.wait(PATIENCE) != 0
        assert "STORE_COPIED" in other.log()


# -- what only looks like a daemon


@asynccontextmanager
async def serving(path: Path, serve: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[HyperClient]:
    client = HyperClient(str(path))
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        tasks.start_soon(client.run)
        with anyio.fail_after(PATIENCE):
            await client.ready()
        yield client
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\n",
        b"[]\n",
        b"1\n",
        b'{"jsonrpc":"2.0"',
        b"\xff\xfe\n",
        b'{"id":1}\n',
        b'{"id":1,"error":3}\n',
    ],
    ids=repr,
)
async def test_what_answers_nonsense_is_no_daemon(tmp_path: Path, answer: bytes) -> None:
    async def serve(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer or b"\n")

    async with serving(tmp_path / "s", serve) as client:
        with pytest.raises(HyperError) as error, anyio.fail_after(PATIENCE):
            await client.get("ab" * 32, ("a",))
        assert error.value.code in ("AWAY", "INTERNAL")


async def test_answers_may_come_in_pieces_and_in_any_order(tmp_path: Path) -> None:
    async def serve(stream: SocketStream) -> None:
        requests = b""
        async with stream:
            while requests.count(b"\n") < 2:
                requests += await stream.receive()
            for line in reversed(requests.splitlines()):
                asked = json.loads(line)
                path = asked["params"]["path"]
                result = {"path": path, "seq": 1, "value": path[0]}
                answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode() + b"\n"
                for start in range(0, len(answer), 7):
                    await stream.send(answer[start : start + 7])
            await anyio.sleep_forever()

    found = {}
    async with serving(tmp_path / "s", serve) as client:

        async def ask(name: str) -> None:
            record = await client.get("ab" * 32, (name,))
            found[name] = record and record.value

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "a")
            tasks.start_soon(ask, "b")
    assert found == {"a": "a", "b": "b"}


async def test_nobody_listens(tmp_path: Path) -> None:
    client = HyperClient(str(tmp_path / "s"))
    with pytest.raises(HyperError) as error:
        await client.status()
    assert error.value.code == "AWAY" and error.value.hint


# -- inside


def _grown(numbers: dict[str, int], *, by: int) -> Callable[[], Awaitable[bool]]:
    goal = sum(numbers.values()) + by

    async def now() -> bool:
        return sum(numbers.values()) >= goal

    return now


async def _first_failure(call: Callable[[], Awaitable[object]]) -> HyperError:
    while True:
        try:
            await call()
        except HyperError as error:
            return error


async def _kill_soon(daemon: Daemon) -> None:
    await anyio.sleep(0.05)
    daemon.kill()
