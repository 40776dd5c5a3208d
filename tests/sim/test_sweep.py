"""Clearing away beside preparations: what is being made is needed, whoever gave it up meanwhile."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from runtimes.fake import Behaviour, FakeRuntime
from tests.sim.nodes import Home, eventually, manifest, ready, service

pytestmark = pytest.mark.anyio


async def test_an_edit_of_what_crashes_all_the_time_is_prepared_in_peace() -> None:
    home = Home()
    home.source.declare(manifest("a", "one", source="/a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a", Behaviour(exits_after=0.01))
        home.machine.crash("a")
        await anyio.sleep(100)
        home.machine.behave("a/two", Behaviour(prepare_takes=200))
        home.source.declare(manifest("a", "two", source="/a"))
        await eventually(lambda: home.running("a") == [("a", "two", 0)], within=500)
    assert home.machine.violations == []


async def test_a_second_edit_waits_until_the_first_has_cleaned_up() -> None:
    home = Home()
    home.source.declare(manifest("a", "one", source="/a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a/two", Behaviour(prepare_takes=10_000, prepare_clears=60))
        home.source.declare(manifest("a", "two", source="/a"))
        await anyio.sleep(10)
        begin = anyio.current_time()
        home.source.declare(manifest("a", "three", source="/a"))
        await eventually(lambda: home.running("a") == [("a", "three", 0)])
        assert 60 <= anyio.current_time() - begin < 65
        # Nothing is left of the one that was given up.
        await eventually(lambda: len(home.machine.prepared) == 1)
    assert home.machine.violations == []


async def test_back_to_the_one_that_was_given_up() -> None:
    home = Home()
    home.source.declare(manifest("a", "one", source="/a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        home.machine.behave("a/two", Behaviour(prepare_takes=20, prepare_clears=60))
        for marker in ("two", "three", "two"):
            home.source.declare(manifest("a", marker, source="/a"))
            await anyio.sleep(5)
        await eventually(lambda: home.running("a") == [("a", "two", 0)], within=300)
    assert home.machine.violations == []


@pytest.mark.parametrize("clears", [0.0, 30.0])
async def test_clearing_away_asks_anew_what_is_needed(clears: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep takes long, and what is wished and prepared meanwhile is not what it was at its begin."""
    home = Home()
    collect = FakeRuntime.collect

    async def slowly(self: FakeRuntime, service_id: str, keep: Any) -> None:
        await anyio.sleep(7)
        await collect(self, service_id, keep)

    home.source.declare(manifest("a", "one", source="/a"))
    async with home.node() as node:
        await eventually(lambda: ready(node, "a"))
        monkeypatch.setattr(FakeRuntime, "collect", slowly)
        takes = Behaviour(prepare_takes=11, prepare_clears=clears, prepare_fails="no network")
        home.machine.behave("a/two", takes)
        home.source.declare(manifest("a", "two", source="/a"))
        await eventually(lambda: "no network" in str(service(node, "a")["conditions"]))
        for marker in ("three", "four", "three", "five"):
            home.machine.behave(f"a/{marker}", Behaviour(prepare_takes=13, prepare_clears=clears))
            home.source.declare(manifest("a", marker, source="/a"))
            await anyio.sleep(5)
        await eventually(lambda: home.running("a") == [("a", "five", 0)], within=600)
    assert home.machine.violations == []
