"""What nobody thought of in one service's data is that service's InternalError, wherever it comes up."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decide.plan import plan
from reconciler.decide.routes import route_of
from reconciler.drive.status import service_status, standing
from tests.sim.nodes import FakePackages, Home, eventually, manifest, ready, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from manifests.model.merge import Winner
    from manifests.model.service import Service
    from manifests.model.snapshot import Snapshot
    from reconciler.node import Node

pytestmark = pytest.mark.anyio


def odd_only(real: Callable[..., Any], id_of: Callable[..., str]) -> Callable[..., Any]:
    """The real function, but for one service, of which nothing is expected to be told."""

    def function(*args: Any, **more: Any) -> Any:
        if id_of(*args) == "odd":
            raise ZeroDivisionError("a defect")
        return real(*args, **more)

    return function


@asynccontextmanager
async def living(home: Home) -> AsyncIterator[Node]:
    """A node with a service that is fine, whatever is done to the odd one: at the end it still converges."""
    home.source.declare(manifest("good"), manifest("odd"), manifest("zebra"))
    async with home.node() as alive:
        await eventually(lambda: ready(alive, "good") and ready(alive, "zebra"))
        yield alive
        home.source.declare(manifest("good", "b"), manifest("new"))
        await eventually(lambda: ("good", "b", 0) in home.running() and ready(alive, "new"))
        assert alive.status()["services"]


async def test_in_the_decision_and_again_once_it_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    home, real = Home(), plan
    monkeypatch.setattr("reconciler.drive.loop.plan", odd_only(real, lambda world: world.id))
    async with living(home) as alive:
        await eventually(lambda: "InternalError" in str(service(alive, "odd")["conditions"]))
        assert "ZeroDivisionError: a defect" in str(service(alive, "odd")["conditions"])
        assert not ready(alive, "odd")
        monkeypatch.setattr("reconciler.drive.loop.plan", real)
        await eventually(lambda: ready(alive, "odd"))


async def test_in_resolving(monkeypatch: pytest.MonkeyPatch) -> None:
    real = FakePackages.resolve

    async def resolve(packages: FakePackages, winner: Winner, generation: int) -> Service:
        if winner.declared.manifest.id == "odd":
            raise ValueError("embedded null byte \ud800")
        return await real(packages, winner, generation)

    home = Home()
    monkeypatch.setattr(FakePackages, "resolve", resolve)
    async with living(home) as alive:
        assert "InternalError" in str(service(alive, "odd")["conditions"])
        assert "embedded null byte \N{REPLACEMENT CHARACTER}" in str(service(alive, "odd")["conditions"])


async def test_in_its_route_its_status_and_where_its_package_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = Home()
    for place, real in (
        ("drive.routing.route_of", route_of),
        ("drive.overview.service_status", service_status),
        ("drive.overview.standing", standing),
    ):
        monkeypatch.setattr(f"reconciler.{place}", odd_only(real, lambda controller, *_: controller.id))
    of_declared = odd_only(lambda _: None, lambda declared: declared.manifest.id)
    monkeypatch.setattr("reconciler.drive.desired.package_path", of_declared)
    async with living(home) as alive:
        assert {condition["reason"] for condition in service(alive, "odd")["conditions"]} == {"InternalError"}
        assert len(home.running("odd")) == 1


async def test_in_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    runtime = home.machine.runtime()
    monkeypatch.setattr(home.machine, "runtime", lambda: runtime)
    monkeypatch.setattr(runtime, "start", odd_only(runtime.start, lambda launch: launch.service.id))
    async with living(home) as alive:
        await eventually(lambda: any("a defect" in event.message for event in alive.events.recent()))


async def test_in_sweeping_and_in_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    runtime = home.machine.runtime()
    monkeypatch.setattr(home.machine, "runtime", lambda: runtime)
    of_id = odd_only(runtime.collect, lambda service_id, *_: service_id)
    monkeypatch.setattr(runtime, "collect", of_id)
    async with living(home) as alive:
        home.source.declare(manifest("odd", "b", source="/app"))
        await eventually(lambda: any("a defect" in event.message for event in alive.events.recent()))
        assert ("odd", "b", 0) in home.running()
        home.source.undeclare("odd")
        await eventually(lambda: not home.running("odd"))


async def test_in_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its services stay, and it is told; once it can be read again it is, and nothing is told any more."""
    home = Home()
    async with living(home) as alive:
        real = type(home.source).snapshot

        def broken(_: object) -> Snapshot:
            raise RecursionError("too deep")

        monkeypatch.setattr(type(home.source), "snapshot", property(broken))
        home.source._changed()
        await eventually(lambda: "RecursionError: too deep" in str(alive.status()["sources"][0]["error"]))
        assert len(home.running()) == 3
        monkeypatch.setattr(type(home.source), "snapshot", real)
        await eventually(lambda: alive.status()["sources"][0]["error"] is None)


async def test_in_watching_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    home, times = Home(), iter(range(3))
    real = home.source.watch

    async def watch(changed: Callable[[], None]) -> None:
        if next(times, None) is not None:
            raise ExceptionGroup("of tasks", [ZeroDivisionError("a defect")])
        await real(changed)

    monkeypatch.setattr(home.source, "watch", watch)
    async with living(home) as alive:
        await eventually(lambda: alive.status()["sources"][0]["error"] is None)
        assert any("ZeroDivisionError" in event.message for event in alive.events.recent())


async def test_in_what_is_kept_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    real = home.store.save

    async def save(service_id: str, memory: Any) -> None:
        if service_id == "odd":
            raise TypeError("str is not valid UTF-8: surrogates not allowed")
        await real(service_id, memory)

    monkeypatch.setattr(home.store, "save", save)
    async with living(home):
        await eventually(lambda: {"good", "zebra"} <= home.store.memories.keys())
