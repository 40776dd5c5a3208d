"""What containers print arrives once and in order: both streams, as it is printed, over the node's lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.runtimes.factories import started

if TYPE_CHECKING:
    from tests.runtimes.docker.lives import DockerLives

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("docker")]


async def test_output_is_followed_and_goes_on_in_the_next_life(lives: DockerLives) -> None:
    long = "y" * 40_000
    script = (
        "echo out; echo err >&2; i=0; "
        "while [ $$i -lt 60 ]; do echo n$$i; i=$$((i+1)); sleep 0.05; done; echo $LONG; exit 0"
    )
    log = lives.paths.logs("app") / "service.log"

    def text() -> str:
        return log.read_text() if log.exists() else ""

    first = lives.next_life()
    await first.observe()
    await started(first, lives.make(command=["sh", "-c", script], env={"LONG": long}))
    with anyio.fail_after(60):
        while "n5\n" not in text():
            await anyio.sleep(0.02)
        second = lives.next_life()
        (running,) = await second.observe()
        assert (await second.wait(running)).code == 0
        while await lives.containers(running=False):
            await anyio.sleep(0.05)
    lines = text().splitlines()
    # The engine reads the two streams by themselves: which of two lines comes first is open.
    assert lines.count("err") == 1
    lines.remove("err")
    assert lines == ["out", *(f"n{number}" for number in range(60)), long]


async def test_a_node_that_ends_waits_for_last_words_and_leaves_nothing(lives: DockerLives) -> None:
    farewell = "i=0; while [ $$i -lt 200 ]; do echo bye$$i; i=$$((i+1)); done; exit 0"
    script = f"trap '{farewell}' TERM; echo up; while :; do sleep 0.05; done"
    log = lives.paths.logs("app") / "service.log"
    runtime = lives.next_life()
    await runtime.observe()
    running = await started(runtime, lives.make(command=["sh", "-c", script]))
    with anyio.fail_after(60):
        while not (log.exists() and "up\n" in log.read_text()):
            await anyio.sleep(0.02)
        await runtime.stop(running)
        await runtime.wait(running)
        await lives.end_life()
    assert await lives.containers(running=False) == []
    assert log.read_text().splitlines() == ["up", *(f"bye{number}" for number in range(200))]
