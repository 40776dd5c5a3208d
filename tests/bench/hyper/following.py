"""Copying a database that one has nothing of yet, and reading it: the bare libraries, then ours."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import anyio

from hyper.core_services import DAEMON_FOLDER
from hyper.port import Write
from runtimes.packages.node_versions import find_node
from tests.bench.hyper.results import Result
from tests.bench.hyper.writing import VALUE
from tests.hyper.daemons import Daemon, acquaint, free_port, running

BARE = Path(__file__).with_name("bare.mjs")
_WANTED = {10_000: 1.2, 100_000: 1.1}


def measure(count: int, rounds: int) -> list[Result]:
    """Medians of the rounds, which alternate between the two."""
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(_bare(count))
        ours.append(anyio.run(_ours, count))
    copied, listed = (statistics.median(column) for column in zip(*bare, strict=True))
    our_copied, our_listed = (statistics.median(column) for column in zip(*ours, strict=True))
    wanted = f"{_WANTED[count]} ×" if count in _WANTED else "—"
    return [
        _result(f"cold copy of {count:,} records", our_copied, copied, wanted),
        _result(f"cold copy of {count:,} records, and all of them read", our_listed, listed, "—"),
    ]


def _result(what: str, ours: float, bare: float, wanted: str) -> Result:
    ratio = ours / bare
    return Result(what, f"{ours:.2f} s, bare libraries {bare:.2f} s (× {ratio:.2f})", wanted, ratio)


def _bare(count: int) -> tuple[float, float]:
    """Seconds until everything is here, and until everything was read."""
    root = Path(tempfile.mkdtemp(prefix="atek-bare-"))
    port = str(free_port())
    serve = _command("serve", str(root / "a"), str(count), port)
    with subprocess.Popen(serve, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            key = json.loads(server.stdout.readline())["key"]
            follow = _command("follow", str(root / "b"), key, port)
            answer = json.loads(subprocess.run(follow, stdout=subprocess.PIPE, check=True).stdout)
        finally:
            server.kill()
    shutil.rmtree(root)
    assert answer["records"] == count, answer
    return answer["copied"] / 1000, answer["listed"] / 1000


def _command(*words: str) -> list[str]:
    return [str(find_node().node), str(BARE), DAEMON_FOLDER, *words]


async def _ours(count: int) -> tuple[float, float]:
    with Daemon("writer") as writer, Daemon("follower") as follower:
        async with running(writer, follower):
            db_id = (await writer.client.create("records")).db_id
            for start in range(0, count, 500):
                numbers = range(start, min(count, start + 500))
                await writer.client.batch(
                    db_id, [Write(("example.com", "thing", f"{each:07}"), VALUE) for each in numbers]
                )
            begin = time.perf_counter()
            await acquaint(follower, writer)
            await follower.client.open(db_id)
            await follower.client.sync(db_id, timeout=600)
            copied = time.perf_counter() - begin
            assert len(await follower.client.list(db_id)) == count
            return copied, time.perf_counter() - begin
