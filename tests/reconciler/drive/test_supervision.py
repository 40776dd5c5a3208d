"""How soon it is known that an instance is ready, on a virtual clock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from trio.testing import MockClock

from reconciler.drive.supervision import LONGEST_LOOK, supervise
from runtimes.base import Endpoint, Exit, Running
from tests.runtimes.factories import service

if TYPE_CHECKING:
    from manifests.model.spec import Probe
    from reconciler.decide.lifecycle import Event
    from runtimes.base import Runtime

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Program:
    """Accepts connections after so many seconds; a prober and a runtime for it."""

    def __init__(self, after: float) -> None:
        self.ready_at = anyio.current_time() + after
        self.ready = anyio.Event()
        self.known_at = 0.0
        self.looks = 0

    async def check(self, probe: Probe | None, running: Running) -> str | None:
        self.looks += 1
        return None if anyio.current_time() >= self.ready_at else "connection refused"

    async def elsewhere(self, running: Running) -> str:
        return ""

    async def wait(self, running: Running) -> Exit:
        await self.ready.wait()
        return Exit()

    def happened(self, event: Event, why: str) -> None:
        if event.name == "PASS":
            self.known_at = anyio.current_time()
            self.ready.set()


async def watch(after: float, **fields: Any) -> tuple[float, int]:
    """How long it takes until it is known, and how many looks."""
    program, of = Program(after), service(command=["x"], **fields.pop("manifest", {}))
    running = replace(Running("i", of, 0, 1, Endpoint(socket="/x"), 0.0), **fields)
    begin = anyio.current_time()
    runtime: Runtime = program  # type: ignore[assignment]
    await supervise(running, runtime, program, program.happened)
    return program.known_at - begin, program.looks


@pytest.mark.parametrize("after", [0.0, 0.004, 0.03, 0.064, 0.128, 0.13, 0.256, 0.6, 1.0])
async def test_an_endpoint_is_noticed_before_a_quarter_more_of_the_time(after: float) -> None:
    took, looks = await watch(after)
    assert after <= took <= 1.25 * after + 0.001 and looks < 30


async def test_an_endpoint_that_takes_long_is_noticed_soon(after: float = 300.0) -> None:
    took, _ = await watch(after)
    assert took <= after + LONGEST_LOOK


@pytest.mark.parametrize(
    "fields", [{"manifest": {"probes": {"readiness": {"exec": {"command": ["true"]}}}}}, {"container": "abc"}]
)
async def test_what_costs_more_is_asked_less_often(fields: dict[str, Any]) -> None:
    took, looks = await watch(1.0, **fields)
    assert took <= 2.01 and looks <= 14
