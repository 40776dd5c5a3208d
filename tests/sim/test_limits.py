"""What takes too much of the disk is ended until there is less, or it may have more; floods are told."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from manifests.model.spec import Resources
from reconciler.drive.limits import Look
from runtimes.processes.log_rate import Dropped
from tests.sim.nodes import Home, events, eventually, manifest, ready, service

if TYPE_CHECKING:
    from reconciler.node import Node

pytestmark = pytest.mark.anyio
MIB = 2**20


class FakeDisk:
    """Implements `reconciler.drive.limits.Disk`: `holds` are the bytes of data folders."""

    def __init__(self) -> None:
        self.holds: dict[str, int] = {}
        self.looks = 0
        self.away = False

    async def used(self, service_id: str) -> int:
        self.looks += 1
        if self.away:
            raise OSError(5, "Input/output error")
        return self.holds.get(service_id, 0)

    def free(self) -> int:
        return 10**12 - sum(self.holds.values())


class Life:
    """A node, with the loop that looks at the disk."""

    def __init__(self, home: Home, disk: FakeDisk, **ports: Any) -> None:
        self.node: Node = home.make_node(disk=disk, **ports)

    async def __aenter__(self) -> Node:
        self._tasks = anyio.create_task_group()
        tasks = await self._tasks.__aenter__()
        tasks.start_soon(self.node.run)
        tasks.start_soon(partial(self.node.limits.run, self.node.reconciler.instances))
        return self.node

    async def __aexit__(self, *error: Any) -> None:
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(*error)


def condition(node: Node, service_id: str, kind: str) -> tuple[str, str]:
    entries = (each for each in node.status()["services"] if each["id"] == service_id)
    found = {each["type"]: each for entry in entries for each in entry["conditions"]}
    return (found[kind]["reason"], found[kind]["message"]) if kind in found else ("", "")


async def test_who_has_too_much_is_ended_and_starts_again_by_itself() -> None:
    home, disk = Home(), FakeDisk()
    home.source.declare(manifest("a", resources={"disk": "100Mi"}), manifest("b"))
    async with Life(home, disk) as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        await anyio.sleep(10)
        disk.holds |= {"a": 101 * MIB, "b": 10**9}
        begin = anyio.current_time()
        await eventually(lambda: not home.running("a"))
        assert anyio.current_time() - begin < 15
        await anyio.sleep(300)
        assert not home.running("a") and len(home.running("b")) == 1
        reason, message = condition(node, "a", "Ready")
        assert reason == "DiskQuotaExceeded"
        assert "data/a has 101.0 MiB, and may have 100.0 MiB" in message and "resources.disk" in message
        disk.holds["a"] = 50 * MIB
        await eventually(lambda: ready(node, "a"), within=70)


async def test_a_larger_quota_is_enough_and_changes_no_revision() -> None:
    home, disk = Home(), FakeDisk()
    home.source.declare(manifest("a", resources={"disk": "100Mi"}))
    disk.holds["a"] = 101 * MIB
    async with Life(home, disk) as node:
        await eventually(lambda: condition(node, "a", "Ready")[0] == "DiskQuotaExceeded")
        assert home.machine.starts == 0
        revision = service(node, "a")["desiredRevision"]
        home.source.declare(manifest("a", resources={"disk": "200Mi"}))
        await eventually(lambda: ready(node, "a"), within=70)
        assert service(node, "a")["desiredRevision"] == revision
        home.source.declare(manifest("a", resources={"disk": "10Mi"}))
        await eventually(lambda: not home.running("a"), within=70)


async def test_a_default_is_for_all_that_say_nothing() -> None:
    home, disk = Home(), FakeDisk()
    home.source.declare(manifest("a"), manifest("b", resources={"disk": "1G"}))
    disk.holds |= {"a": 2 * MIB, "b": 2 * MIB}
    async with Life(home, disk, limits=Resources.model_validate({"disk": "1Mi"})) as node:
        await eventually(lambda: ready(node, "b"))
        assert condition(node, "a", "Ready")[0] == "DiskQuotaExceeded"


async def test_a_folder_that_cannot_be_looked_at_ends_nobody() -> None:
    home, disk = Home(), FakeDisk()
    home.source.declare(manifest("a", resources={"disk": "100Mi"}))
    async with Life(home, disk) as node:
        await eventually(lambda: ready(node, "a"))
        disk.away = True
        await anyio.sleep(300)
        assert ready(node, "a")


async def test_a_quiet_folder_is_seldom_walked_and_a_large_one_never_all_the_time() -> None:
    home, disk = Home(), FakeDisk()
    home.source.declare(manifest("a", resources={"disk": "100Mi"}))
    async with Life(home, disk) as node:
        await eventually(lambda: ready(node, "a"))
        before = disk.looks
        await anyio.sleep(600)
        assert disk.looks - before <= 10
    look = Look(used=90, free=1000, at=100.0, took=4.0)
    assert not look.is_due(100, 0, 299.0)
    assert look.is_due(100, 995, 301.0) and not look.is_due(100, 996, 299.0)
    assert Look(90, 1000, 100.0, 0.01).is_due(100, 995, 105.0)
    assert not Look(90, 1000, 100.0, 0.01).is_due(100, 996, 105.0)
    assert Look(90, 1000, 100.0, 0.01).is_due(100, 1000, 160.0)


async def test_output_that_is_left_out_is_a_condition_and_one_event_a_flood() -> None:
    home, disk = Home(), FakeDisk()
    home.source.declare(manifest("a", resources={"logRate": "1Ki"}), manifest("b"))
    defaults = Resources.model_validate({"logRate": "1Mi"})
    async with Life(home, disk, limits=defaults) as node:
        await eventually(lambda: ready(node, "a"))
        assert (node.limits.log_rate("a"), node.limits.log_rate("b")) == (1024, MIB)
        assert node.limits.log_rate("nobody") == MIB
        for _ in range(20):
            node.limits.log_dropped("a", Dropped(Path("a/service.log"), 1024, MIB, 7))
            await anyio.sleep(1)
        reason, message = condition(node, "a", "LogComplete")
        assert reason == "LogRateExceeded"
        assert message.startswith("it prints more than 1.0 KiB a second: 20.0 MiB are left out of its log")
        told = [each for each in events(node, "a") if each[0] == "LogRateExceeded"]
        assert len(told) == 1
        await anyio.sleep(700)
        assert condition(node, "a", "LogComplete") == ("", "")
        node.limits.log_dropped("nobody", Dropped(Path("x"), 1024, MIB, 7))
        assert condition(node, "b", "LogComplete") == ("", "")
