"""What containers print arrives once and in order: both streams, as it is printed, over the node's lives."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.docker.handles import Handle
from runtimes.docker.logs import LogCopier, Position
from tests.runtimes.factories import started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

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


class Coarse:
    """An engine that tells whole seconds, as Podman's does; `printed`: each line's second, and the line."""

    def __init__(self, printed: list[tuple[int, str]]) -> None:
        self.printed = printed
        self.breaks_after = len(printed)

    @asynccontextmanager
    async def stream(self, method: str, path: str, *, query: dict[str, Any]) -> AsyncIterator[Any]:
        async def chunks() -> AsyncIterator[bytes]:
            for second, line in self.printed[: self.breaks_after]:
                if second >= float(query["since"]):
                    data = f"2026-01-01T00:00:{second % 60:02}Z {line}\n".encode()
                    yield struct.pack(">BxxxI", 1, len(data)) + data

        yield chunks()


@pytest.mark.parametrize("cut", range(7))
async def test_lines_of_one_moment_are_copied_once_wherever_it_is_cut(tmp_path: Path, cut: int) -> None:
    begin = 1_767_225_600
    engine = Coarse([(begin + second, f"n{number}") for number, second in enumerate([0, 0, 0, 1, 1, 2])])
    log = tmp_path / "log"
    for engine.breaks_after in (cut, 6, 6):
        handle = Handle("i1", "c1")
        handle.end(0)
        await LogCopier(engine, tmp_path).copy(handle, log)  # type: ignore[arg-type]
    assert log.read_text().split() == [f"n{number}" for number in range(6)]
    LogCopier(engine, tmp_path).forget("i1")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [log]


def test_a_position_goes_forward_only() -> None:
    here = Position()
    for moment in ("5.1", "5.1", "5.0", "5.2", "5.1"):
        here.advance(moment)
    assert here == Position("5.2", 1)
    assert Position("5.2", 2).covers(here)
    assert not here.covers(Position("5.2", 2))
    assert not here.covers(Position("5.3", 1))
