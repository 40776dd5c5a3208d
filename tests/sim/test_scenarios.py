"""Seeded scenarios for a whole node: random trouble for virtual hours, several lives, then all is healed.

The oracle: at no moment two copies, nothing published that is not ready, nothing signalled while it is; at
the end exactly what is declared runs, and is published. Each seed is a test of its own to replay:
`ATEK_SEED=17 pytest tests/sim/test_scenarios.py -k replay`.
"""

from __future__ import annotations

import os
from math import inf
from random import Random
from typing import TYPE_CHECKING

import anyio
import pytest
import trio.testing

from reconciler.errors import UserError
from runtimes.base import Exit
from runtimes.fake import Behaviour
from tests.sim.nodes import Home, eventually, manifest

if TYPE_CHECKING:
    from reconciler.node import Node

IDS = ("db", "api", "web", "cron", "job")
MARKERS = ("one", "two", "three")
SEEDS = 120
SOAK_SEEDS = int(os.environ.get("ATEK_SOAK_SEEDS", "5000"))


class Scenario:
    """One seed's story."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.home = Home(seed)
        self.suspended: set[str] = set()

    async def run(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            async with self.home.node() as node:
                for _ in range(self.random.randint(3, 15)):
                    await self.trouble(node)
                    assert self.home.machine.violations == []
            if self.random.random() < 0.3:
                self.home.machine.crash(self.random.choice(IDS))
        await self.heal_and_check()

    async def trouble(self, node: Node) -> None:
        happen = self.random.choice(
            [
                *[self.declare] * 3, self.undeclare, self.behave, self.crash, self.person,
                self.requests, self.router_comes_and_goes,
            ]
        )  # fmt: skip
        await happen(node)
        await anyio.sleep(self.random.choice([0, 0.001, 0.05, 0.5, 5, 30, 90, 1000]))
        router = self.home.router
        assert router.away or router.backends() == router.ready()

    async def declare(self, node: Node) -> None:
        random = self.random
        service_id = random.choice(IDS)
        others = [other for other in IDS if other < service_id]
        depends = [{"id": other, "condition": random.choice(["started", "ready"])} for other in others]
        package = {"source": "/app"} if random.random() < 0.3 else {}
        self.home.source.declare(
            manifest(
                service_id,
                random.choice(MARKERS),
                replicas=random.choice([1, 1, 1, 2, 3]),
                dependsOn=random.sample(depends, min(len(depends), random.randint(0, 1))),
                update={
                    "strategy": random.choice(["rolling", "recreate"]),
                    "healthyDeadline": "60s",
                    "drainTimeout": random.choice(["0s", "3s", "30s"]),
                },
                stop={"gracePeriod": random.choice(["0s", "2s", "10s"])},
                **package,
            )
        )

    async def undeclare(self, node: Node) -> None:
        self.home.source.undeclare(self.random.choice(IDS))

    async def behave(self, node: Node) -> None:
        random = self.random
        name = random.choice(IDS)
        if random.random() < 0.5:
            name = f"{name}/{random.choice(MARKERS)}"
        behaviours = [
            Behaviour(),
            Behaviour(ready_after=random.choice([0.2, 5, 100_000])),
            Behaviour(exits_after=random.choice([0, 0.5, 20]), exit_code=random.choice([0, 1])),
            Behaviour(ignores_stop=True),
            Behaviour(stop_takes=random.choice([0.1, 5, 50])),
            Behaviour(start_fails="no such program"),
            Behaviour(prepare_fails="no network", prepare_takes=random.choice([0, 3])),
            Behaviour(prepare_takes=random.choice([1, 40])),
        ]
        self.home.machine.behave(name, random.choice(behaviours))

    async def crash(self, node: Node) -> None:
        self.home.machine.crash(self.random.choice(IDS), Exit(code=1))

    async def requests(self, node: Node) -> None:
        """From now on those that are in flight when an instance is to stop take so long."""
        self.home.requests[self.random.choice(IDS)] = self.random.choice([0, 0.2, 5, 50, inf])

    async def router_comes_and_goes(self, node: Node) -> None:
        router = self.home.router
        if router.away:
            router.come_back()
        else:
            router.go_away()

    async def person(self, node: Node) -> None:
        service_id = self.random.choice(IDS)
        act = self.random.choice([node.stop_service, node.start_service, node.restart_service])
        try:
            await act(service_id)
        except UserError:
            return

    async def heal_and_check(self) -> None:
        machine = self.home.machine
        self.home.requests.clear()
        for name in IDS:
            machine.behave(name, Behaviour())
            for marker in MARKERS:
                machine.behave(f"{name}/{marker}", Behaviour())
        declared = {service_id for service_id, _, _ in self.declared()}
        # Whoever depends on something that nobody declares waits for ever, and rightly.
        self.home.source.declare(*[manifest(name) for name in IDS if name not in declared])
        async with self.home.node() as node:
            await anyio.sleep(60)
            for service_id in list(node.reconciler.controllers):
                await node.start_service(service_id)
            await eventually(lambda: self.home.running() == self.declared(), within=2000)
            await anyio.sleep(100)
            assert self.home.running() == self.declared()
            assert node.unready() == {}
            assert self.home.router.backends() == {each.running.instance for each in machine.live()}
            assert self.home.router.routes.keys() == {*IDS}
        assert machine.violations == []

    def declared(self) -> list[tuple[str, str, int]]:
        wanted = []
        for declared in self.home.source.snapshot.services:
            command = declared.manifest.command or ("", "")
            wanted += [(declared.manifest.id, command[1], slot) for slot in range(declared.manifest.replicas)]
        return sorted(wanted)


def play(seed: int) -> None:
    try:
        anyio.run(
            Scenario(seed).run,
            backend="trio",
            backend_options={"clock": trio.testing.MockClock(autojump_threshold=0)},
        )
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


@pytest.mark.parametrize("block", range(8))
def test_seeded_scenarios(block: int) -> None:
    for seed in range(block * SEEDS // 8, (block + 1) * SEEDS // 8):
        play(seed)


@pytest.mark.soak
def test_very_many_scenarios() -> None:
    for seed in range(SEEDS, SEEDS + SOAK_SEEDS):
        play(seed)


def test_replay() -> None:
    play(int(os.environ.get("ATEK_SEED", "0")))
