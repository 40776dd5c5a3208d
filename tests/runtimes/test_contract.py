"""What every runtime promises, asked of the fake and of all real ones. The world is looked at, not calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.base import RuntimeFailure
from tests.runtimes.docker.engines import any_engine
from tests.runtimes.docker.lives import docker_lives
from tests.runtimes.docker.podman import podman
from tests.runtimes.factories import Lives, clear, fake_lives, launch, real_lives, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

RUNTIMES = [
    "fake",
    "process",
    "node",
    "python",
    pytest.param("docker", marks=pytest.mark.xdist_group("docker")),
    pytest.param("podman", marks=pytest.mark.xdist_group("docker")),
]
ENGINES = {"docker": any_engine, "podman": podman}


@pytest.fixture(params=RUNTIMES)
def engine_socket(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The runtime's name, and where its engine listens if it is one that has an engine."""
    return request.param, ENGINES[request.param]() if request.param in ENGINES else ""


@pytest.fixture
async def lives(engine_socket: tuple[str, str]) -> AsyncIterator[Lives]:
    name, socket = engine_socket
    if name in ENGINES:
        async with docker_lives(socket) as found:
            yield found.as_lives()
        return
    with fake_lives() if name == "fake" else real_lives(name) as made:
        yield made


async def test_what_was_started_runs_and_is_observed(lives: Lives) -> None:
    runtime = lives.next_life()
    assert list(await runtime.observe()) == []
    running = await started(runtime, lives.make())
    assert await lives.runs() == {"i1"}
    assert [(r.instance, r.pid) for r in await runtime.observe()] == [("i1", running.pid)]


async def test_a_failed_start_leaves_nothing(lives: Lives) -> None:
    runtime = lives.next_life()
    with pytest.raises(RuntimeFailure) as caught:
        await started(runtime, lives.make(acts="fails"))
    assert caught.value.reason == "CommandNotFound"
    assert await lives.runs() == set()
    assert list(await lives.next_life().observe()) == []


async def test_a_stop_ends_it_and_wait_tells(lives: Lives) -> None:
    runtime = lives.next_life()
    running = await started(runtime, lives.make())
    await runtime.stop(running)
    with anyio.fail_after(10):
        exit = await runtime.wait(running)
    assert exit.signal == 15
    assert await lives.runs() == set()
    assert list(await runtime.observe()) == []


async def test_an_exit_is_told_with_its_status(lives: Lives) -> None:
    runtime = lives.next_life()
    running = await started(runtime, lives.make(acts="exits"))
    with anyio.fail_after(10):
        assert (await runtime.wait(running)).code == 3
    assert await lives.runs() == set()


async def test_force_ends_what_ignores_the_stop_signal(lives: Lives) -> None:
    runtime = lives.next_life()
    running = await started(runtime, lives.make(acts="deaf"))
    await anyio.sleep(0.5)
    await runtime.stop(running)
    with anyio.move_on_after(0.3):
        await runtime.wait(running)
    assert await lives.runs() == {"i1"}
    await runtime.stop(running, force=True)
    with anyio.fail_after(10):
        assert (await runtime.wait(running)).signal == 9
    assert await lives.runs() == set()


async def test_stopping_what_is_gone_is_no_error(lives: Lives) -> None:
    runtime = lives.next_life()
    running = await started(runtime, lives.make(acts="exits"))
    with anyio.fail_after(10):
        await runtime.wait(running)
    await runtime.stop(running)
    await runtime.stop(running, force=True)
    with anyio.fail_after(10):
        await runtime.wait(running)


async def test_the_next_life_adopts_and_can_stop(lives: Lives) -> None:
    first = lives.next_life()
    of = lives.make()
    running = await started(first, of)
    second = lives.next_life()
    (adopted,) = await second.observe()
    assert (adopted.instance, adopted.pid, adopted.slot) == (running.instance, running.pid, 0)
    assert (adopted.service.id, adopted.service.revision) == (of.id, of.revision)
    assert adopted.endpoint == running.endpoint
    await second.stop(adopted)
    with anyio.fail_after(10):
        await second.wait(adopted)
    assert await lives.runs() == set()
    assert list(await lives.next_life().observe()) == []


async def test_what_ended_between_two_lives_is_not_adopted(lives: Lives) -> None:
    first = lives.next_life()
    running = await started(first, lives.make(acts="exits"))
    with anyio.fail_after(10):
        await first.wait(running)
    assert list(await lives.next_life().observe()) == []


async def test_several_instances_are_told_apart(lives: Lives) -> None:
    runtime = lives.next_life()
    of = lives.make()
    zero = await started(runtime, of, "i1", 0)
    one = await started(runtime, of, "i2", 1)
    assert await lives.runs() == {"i1", "i2"}
    await runtime.stop(zero)
    with anyio.fail_after(10):
        await runtime.wait(zero)
    assert await lives.runs() == {"i2"}
    assert [r.slot for r in await lives.next_life().observe()] == [one.slot]


async def test_collecting_keeps_what_is_needed(lives: Lives) -> None:
    runtime = lives.next_life()
    of = lives.make()
    await runtime.prepare(of, lambda _: None)
    await clear(runtime, of.id, [of])
    await runtime.start(launch(of))
    assert await lives.runs() == {"i1"}
