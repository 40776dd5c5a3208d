"""What a poll costs that finds nothing: our own processor time, and how many gits are run for it."""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from manifests.model.git_source import GitSource
from manifests.model.nodes import Place
from reconciler.drive.events import EventLog
from reconciler.gitops.sources import GitSources
from runtimes.processes.children import TABLE
from tests.bench.git.origin import Origin
from tests.bench.hyper.results import Result, times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.gitops.source import GitManifests


def measure(rounds: int) -> list[Result]:
    folder = Path(tempfile.mkdtemp(prefix="atek-bench-"))
    origin = Origin(folder)
    try:
        return anyio.run(_poll, folder, origin, rounds)
    finally:
        origin.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _poll(folder: Path, origin: Origin, rounds: int) -> list[Result]:
    """Ten sources of one repository look `rounds` times, each by itself, and find what was there."""
    origin.repository.commit({"a.json": '{"id": "a", "command": ["sleep", "1"]}'})
    (folder / "h" / "state").mkdir(parents=True)
    sources = [
        GitSource.model_validate({"name": f"s{number}", "url": origin.url, "interval": "1s"})
        for number in range(10)
    ]
    git = GitSources(folder / "h", sources, Place("fake"), EventLog(), jitter=lambda: 0.5)
    for source in git.sources():
        await source.scan()
        await source.poll(lambda: None)
    alone = [await _looked(git.sources()[:1]) for _ in range(rounds)]
    together = [await _looked(git.sources()) for _ in range(rounds)]
    return [
        times("a poll that finds nothing: our CPU", [cpu for cpu, _ in alone], "5 ms"),
        _gits("… gits for it", [count for _, count in alone]),
        times("a poll of ten sources of one server: our CPU", [cpu for cpu, _ in together], "—"),
        _gits("… gits for it", [count for _, count in together]),
    ]


async def _looked(sources: Sequence[GitManifests]) -> tuple[float, int]:
    """Seconds of this process's time, and how many others it started."""
    # An answer that is half an interval old would do.
    await anyio.sleep(0.6)
    started = 0
    spawn = TABLE.spawn

    def counted(*words: Any, **options: Any) -> Any:
        nonlocal started
        started += 1
        return spawn(*words, **options)

    TABLE.spawn = counted  # type: ignore[method-assign]
    begin = time.process_time()
    try:
        async with anyio.create_task_group() as tasks:
            for source in sources:
                tasks.start_soon(partial(source.poll, lambda: None))
    finally:
        TABLE.spawn = spawn  # type: ignore[method-assign]
    return time.process_time() - begin, started


def _gits(what: str, counts: list[int]) -> Result:
    most = max(counts)
    return Result(what, str(most), "1", float(most))
