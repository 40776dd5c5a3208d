"""A whole node of fakes among odd clocks, full disks and defects."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import pytest

from reconciler.errors import UserError
from runtimes.fake import Behaviour
from tests.sim.nodes import Home, eventually, manifest, ready, service

pytestmark = pytest.mark.anyio


async def test_a_clock_that_jumps_moves_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    years = itertools.cycle([0.0, 1e9, -1e9, 4e9])
    monkeypatch.setattr("time.time", lambda: 2e9 + next(years))
    home = Home()
    home.source.declare(manifest("a"), manifest("b"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a") and ready(node, "b"))
        home.machine.behave("a", Behaviour(exits_after=0.01))
        home.machine.crash("a")
        before = home.machine.starts
        await anyio.sleep(600)
        assert 12 <= home.machine.starts - before <= 25
        assert len(home.running("b")) == 1
        home.machine.behave("b", Behaviour(ignores_stop=True))
        begin = anyio.current_time()
        home.source.undeclare("b")
        await eventually(lambda: not home.running("b"))
        assert 10 <= anyio.current_time() - begin < 11
        assert node.status()["services"]


async def test_a_stop_that_cannot_be_saved_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    home.source.declare(manifest("a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        await anyio.sleep(1)

        async def full(service_id: str, memory: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(home.store, "save", full)
        for act in (node.stop_service, node.restart_service):
            with pytest.raises(UserError, match="could not be saved"):
                await act("a")
        await anyio.sleep(100)
        assert ready(node, "a") and home.machine.starts == 1


async def test_a_defect_in_a_runtime_takes_no_other_service_down(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    home.source.declare(manifest("good"), manifest("odd", source="/app"))
    node = home.make_node()
    runtime = next(iter(node.reconciler.observation._runtimes.values()))

    async def defect(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(runtime, "prepare", defect)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.run)
        await eventually(lambda: ready(node, "good"))
        assert "a defect" in str(service(node, "odd")["conditions"])
        home.machine.crash("good")
        await eventually(lambda: home.machine.starts == 2)
        tasks.cancel_scope.cancel()


async def test_a_defect_in_a_probe_takes_no_other_service_down(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    home.source.declare(manifest("a"), manifest("b"))
    prober = home.machine.prober()
    check = prober.check
    broken = [True]

    async def defect(probe: Any, running: Any) -> str | None:
        if broken[0] and running.service.id == "a":
            raise ZeroDivisionError("a defect")
        return await check(probe, running)

    monkeypatch.setattr(home.machine, "prober", lambda: prober)
    monkeypatch.setattr(prober, "check", defect)
    async with home.node() as node:
        await eventually(lambda: ready(node, "b"))
        await anyio.sleep(30)
        assert home.machine.starts == 2 and node.metrics.reconcile_errors > 5
        broken[0] = False
        await eventually(lambda: ready(node, "a"))
        home.machine.crash("a")
        await eventually(lambda: home.machine.starts == 3)
