"""What the docker runtime does beyond the contract, against a real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import Endpoint
from runtimes.docker import runtime as docker
from runtimes.docker.failures import EngineAnswer
from runtimes.probes import EndpointProber, accepts
from tests.runtimes.factories import started

if TYPE_CHECKING:
    from tests.runtimes.docker.lives import DockerLives

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("docker")]


async def test_what_could_not_be_removed_when_it_ended_is_removed_later(
    lives: DockerLives, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = anyio.Event()

    async def busy(*_: Any) -> None:
        tried.set()
        raise EngineAnswer(500, "device or resource busy")

    runtime = lives.next_life()
    await runtime.observe()
    running = await started(runtime, lives.make(acts="exits"))
    with monkeypatch.context() as patched, anyio.fail_after(20):
        patched.setattr(docker, "remove_container", busy)
        await runtime.wait(running)
        await tried.wait()
    assert len(await lives.containers(running=False)) == 1
    await runtime.observe()
    assert await lives.containers(running=False) == []


async def test_a_container_that_listens_elsewhere_is_told_where(lives: DockerLives) -> None:
    runtime = lives.next_life()
    await runtime.observe()
    command = ["sh", "-c", "PORT=3000 exec serve"]
    running = await started(runtime, lives.make(command=command, port=8080))
    with anyio.fail_after(30):
        while not await accepts(Endpoint(host=running.endpoint.host, port=3000)):
            await anyio.sleep(0.02)
    told = await EndpointProber().elsewhere(running)
    assert told == "it listens on TCP 0.0.0.0:3000 and not on port 8080; write `port: 3000`"
