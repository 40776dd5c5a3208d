"""What happens to a node reaches the address, also across the lives of the node."""

from __future__ import annotations

import os
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from reconciler.notify import notifier as module
from reconciler.notify.facts import LOW_BYTES, Disk
from reconciler.notify.notifier import Notifier
from reconciler.notify.sending import NotSent
from reconciler.notify.store import OutboxFile
from reconciler.state.notify_settings import NotifySettings
from tests.reconciler.fakes import FakeNode
from tests.reconciler.notify.test_facts import condition, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
FAILED: list[str] = []
ROOM = Disk(total=100 * LOW_BYTES, free=50 * LOW_BYTES)


def say(node: FakeNode, *services: dict[str, Any]) -> None:
    node.services = {each["id"]: each for each in services}
    node.emit("", "Changed")


class Address:
    """`away`: it takes nothing."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.tried = 0
        self.away = False
        self._news = anyio.Event()

    async def __call__(self, url: str, title: str, text: str) -> None:
        self.tried += 1
        self._tell()
        if self.away:
            raise NotSent("nobody is there")
        self.taken.append(text)

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def until(self, text: str) -> None:
        with anyio.fail_after(10):
            while text not in self.taken:
                await anyio.sleep(0.01)

    async def until_tried(self, times: int) -> None:
        with anyio.fail_after(10):
            while self.tried < times:
                await anyio.sleep(0.01)


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    FAILED.clear()
    monkeypatch.setattr(module, "TOGETHER", 0.0)
    monkeypatch.setattr(module, "AGAIN", 0.01)
    monkeypatch.setattr("reconciler.notify.outbox.TOGETHER", 0.0)


@asynccontextmanager
async def living(home: Path, node: FakeNode, address: Address, *more: Disk) -> AsyncIterator[Notifier]:
    (home / "state").mkdir(exist_ok=True)
    disks = [*more] or [ROOM]
    settings = [
        NotifySettings(url="ntfy://me:verysecret@localhost/topic", on=("Stalled", "Updated", "DiskLow"))
    ]
    made = Notifier("pi", settings, OutboxFile(home), address, lambda: disks[0], FAILED.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run, node)
        yield made
        tasks.cancel_scope.cancel()


BROKEN = service("notes", condition("Stalled", "True", "BadConfig", "oh"))
WHOLE = service("notes", condition("Stalled", "False"), condition("Ready", "True"))


async def test_a_trouble_and_its_end(tmp_path: Path) -> None:
    node, address = FakeNode(), Address()
    async with living(tmp_path, node, address) as notifier:
        say(node, BROKEN)
        await address.until("notes is stalled: BadConfig: oh")
        say(node, WHOLE)
        await address.until("notes works again")
        assert notifier.status()[0]["waiting"] == 0
        assert notifier.status()[0]["lastSent"] is not None
    assert len(address.taken) == 2


async def test_the_next_life_knows_what_was_told(tmp_path: Path) -> None:
    node, address = FakeNode(), Address()
    async with living(tmp_path, node, address):
        say(node, BROKEN)
        await address.until("notes is stalled: BadConfig: oh")
    again, later = FakeNode(), Address()
    again.waiting = {"": "the sources are not read yet"}
    async with living(tmp_path, again, later):
        # While it boots nothing is known of the service, and that is no recovery.
        say(again)
        again.waiting = {}
        say(again, BROKEN)
        say(again, WHOLE)
        await later.until("notes works again")
    assert later.taken == ["notes works again"]


async def test_what_an_address_did_not_take_the_next_life_sends(tmp_path: Path) -> None:
    node, address = FakeNode(), Address()
    address.away = True
    async with living(tmp_path, node, address) as notifier:
        say(node, BROKEN)
        await address.until_tried(3)
        assert notifier.status()[0]["error"] == "nobody is there"
        assert notifier.status()[0]["waiting"] == 1
        assert FAILED == ["ntfy://localhost/…: nobody is there"]
    later = Address()
    quiet = FakeNode()
    quiet.add(BROKEN)
    async with living(tmp_path, quiet, later):
        await later.until("notes is stalled: BadConfig: oh")


async def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "notify.json").write_text('{"known": 7}')
    node, address = FakeNode(), Address()
    async with living(tmp_path, node, address):
        say(node, BROKEN)
        await address.until("notes is stalled: BadConfig: oh")
    assert (tmp_path / "state" / "notify.damaged").exists()


async def test_what_is_kept_is_for_the_node_alone_and_holds_no_address(tmp_path: Path) -> None:
    node, address = FakeNode(), Address()
    async with living(tmp_path, node, address):
        say(node, BROKEN)
        await address.until("notes is stalled: BadConfig: oh")
    kept = tmp_path / "state" / "notify.json"
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
    assert "verysecret" not in kept.read_text()


async def test_a_full_disk_is_told_although_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: OutboxFile, outbox: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OutboxFile, "write", full)
    node, address = FakeNode(), Address()
    async with living(tmp_path, node, address, Disk(total=100 * LOW_BYTES, free=2**20)):
        await address.until("the disk is nearly full: 1 MiB of 200.0 GiB are free")


async def test_a_test_goes_to_every_address_at_once(tmp_path: Path) -> None:
    node, address = FakeNode(), Address()
    async with living(tmp_path, node, address) as notifier:
        told = await notifier.test()
        assert address.taken == ["this is what messages of this node look like"]
        assert told[0]["address"] == "ntfy://localhost/…"
        address.away = True
        assert (await notifier.test())[0]["error"] == "nobody is there"


async def test_many_events_are_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node, address = FakeNode(), Address()
    looks = 0
    status = node.status

    def counted() -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return status()

    monkeypatch.setattr(node, "status", counted)
    async with living(tmp_path, node, address):
        while not looks:
            await anyio.lowlevel.checkpoint()
        for _ in range(200):
            node.emit("", "Changed")
        say(node, BROKEN)
        await address.until("notes is stalled: BadConfig: oh")
        await anyio.to_thread.run_sync(lambda: None)
        for _ in range(5000):
            await anyio.lowlevel.checkpoint()
    assert looks < 20
