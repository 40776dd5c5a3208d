"""A commit with many manifests on a whole node of fakes, until all of its services are ready."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import anyio

from manifests.model.git_source import GitSource
from manifests.model.nodes import Place
from reconciler.decide.conditions import condition_of
from reconciler.drive.events import EventLog
from reconciler.gitops.sources import GitSources
from tests.bench.git.origin import Origin
from tests.bench.hyper.results import Result
from tests.sim.nodes import Home


def measure(count: int, rounds: int) -> list[Result]:
    new, edited = [], []
    for _ in range(rounds):
        folder = Path(tempfile.mkdtemp(prefix="atek-bench-"))
        origin = Origin(folder)
        try:
            taken = anyio.run(_converge, folder, origin, count)
            new.append(taken[0])
            edited.append(taken[1])
        finally:
            origin.close()
            shutil.rmtree(folder, ignore_errors=True)
    return [
        _result(f"{count} manifests in one commit → {count} services ready", new, "2 s"),
        _result(f"one of {count} is edited → ready", edited, "—"),
    ]


async def _converge(folder: Path, origin: Origin, count: int) -> list[float]:
    (folder / "h" / "state").mkdir(parents=True)
    events = EventLog()
    values = {"name": "home", "url": origin.url, "interval": "1h"}
    sources = [GitSource.model_validate(values)]
    git = GitSources(folder / "h", sources, Place("fake"), events, jitter=lambda: 0.5)
    node = Home().make_node(sources=[], git=git, events=events)
    origin.repository.commit({"s/first.json": _manifest("first", "0")})
    async with anyio.create_task_group() as tasks:
        await tasks.start(node.run)
        await git.sync("home")
        taken = []
        for files in (
            {f"s/s{number}.json": _manifest(f"s{number}", "1") for number in range(count)},
            {"s/s7.json": _manifest("s7", "2")},
        ):
            commit = origin.repository.commit(dict(files))
            with events.subscribe() as heard, anyio.fail_after(60):
                begin = time.perf_counter()
                tasks.start_soon(git.sync, "home")
                async for event in heard:
                    if event.reason == "CommitReady" and commit[:12] in event.message:
                        break
                taken.append(time.perf_counter() - begin)
            status = git.status("home")
            assert status["applied"]["commit"] == commit
            assert condition_of(dict(status), "Ready")["status"] == "True"
        tasks.cancel_scope.cancel()
    return taken


def _manifest(name: str, marker: str) -> str:
    """Ready once it accepts connections, at once; with `readiness: none` it had to stay up for a second."""
    return json.dumps({"id": name, "command": ["run", marker]})


def _result(what: str, taken: list[float], wanted: str) -> Result:
    median = statistics.median(taken)
    return Result(what, f"{median:.2f} s", wanted, median)
