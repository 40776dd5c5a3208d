"""What an engine is asked for, counted: with many containers it must not become much."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import orjson
import pytest

from runtimes.base import Launch
from runtimes.docker import labels
from runtimes.docker import runtime as docker
from runtimes.docker.engine import Engine
from runtimes.docker.network import Networks
from runtimes.docker.runtime import DockerRuntime
from tests.runtimes.factories import Unwatched, make_home, make_paths, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

MANY = 200


class FakeEngine(Engine):
    """Has containers that run and do nothing; `calls` is what it was asked."""

    def __init__(self) -> None:
        super().__init__(lambda: "/no/such/socket")
        self.containers: list[dict[str, Any]] = []
        self.calls: list[str] = []

    @asynccontextmanager
    async def stream(self, method: str, path: str, **_: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        self.calls.append(f"{method} {path}")
        yield self._answer(path)

    async def _answer(self, path: str) -> AsyncIterator[bytes]:
        await anyio.lowlevel.checkpoint()
        if path == "/events" or path.endswith("/logs"):
            await anyio.sleep_forever()
        if path == "/containers/json":
            yield orjson.dumps(self.containers)
        elif path.startswith("/containers/"):
            (found,) = (each for each in self.containers if each["Id"] in path)
            yield orjson.dumps(
                {"Id": found["Id"], "State": {"Running": True, "Status": "running"}, "Config": found}
            )

    def add(self, node: str, number: int) -> None:
        launch = Launch(f"i{number}", service(f"s{number}", runtime="docker", image="x:1"), 0, {})
        found = labels.labels(node, launch, None)
        self.containers.append({"Id": f"{number:064x}", "State": "running", "Labels": found})


async def test_a_resync_is_one_call_whatever_the_number_of_containers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker, "RESYNC", 0.01)
    paths, engine = make_paths(make_home()), FakeEngine()
    DockerRuntime(paths, engine=engine)
    node = (paths.home / "state" / "engine-node").read_text()
    for number in range(MANY):
        engine.add(node, number)
    runtime = DockerRuntime(paths, engine=engine)
    assert len(await runtime.observe()) == MANY
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.run, Unwatched())
        with anyio.fail_after(20):
            while sum(call.endswith("/logs") for call in engine.calls) < MANY:
                await anyio.sleep(0.01)
            engine.calls.clear()
            while len(engine.calls) < 5:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert set(engine.calls) == {"GET /containers/json"}


async def test_many_that_need_a_network_make_it_once() -> None:
    engine = FakeEngine()
    networks = Networks(engine, "f" * 32)
    async with anyio.create_task_group() as tasks:
        for _ in range(MANY):
            tasks.start_soon(networks.ensure, "private")
    assert engine.calls == ["POST /networks/create"]
