"""A commit is pushed, its server rings: until the first new instance is started, beside git's own fetch."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from urllib.parse import urlsplit

from reconciler.cli.client import Client
from tests.bench.beacons import Beacons
from tests.bench.git.origin import SECRET, Origin, ring
from tests.bench.hyper.results import Result, times
from tests.e2e.nodes import Bench

#: Seconds between two pushes: hooks are bounded, and a commit is to settle before the next.
PAUSE = 2.2


def measure(rounds: int) -> list[Result]:
    """A repository in a folder, and one that `git daemon` serves, which waits for acknowledgements."""
    return [*_measure(rounds, served=False), *_measure(rounds, served=True)]


def _measure(rounds: int, *, served: bool) -> list[Result]:
    beacons, bench = Beacons(), Bench()
    origin = Origin(bench.root)
    url = origin.url if served else str(origin.repository.path)
    try:
        _configure(bench, url)
        origin.repository.commit({"beacon.json": _manifest(beacons, 0)})
        bench.up()
        beacons.until({"beacon"}, "0")
        mirror = _mirror(bench, url)
        port = urlsplit(Client(bench.home).call("status")["node"]["address"]).port
        assert port is not None
        ours, gits = [], []
        for number in range(1, rounds + 1):
            time.sleep(PAUSE)
            origin.repository.commit({"beacon.json": _manifest(beacons, number)})
            begin = time.perf_counter()
            ring(port, "home", number)
            ours.append(beacons.until({"beacon"}, str(number))["beacon"].at - begin)
            gits.append(_fetch(mirror, url))
        over = statistics.median(each - limit for each, limit in zip(ours, gits, strict=True))
        where = ", by git daemon" if served else ""
        return [
            times(f"push, and its hook → first new instance started{where}", ours, "150 ms"),
            times(f"git fetch of that commit alone{where}", gits, "—"),
            Result("… what ours takes beside it, by the median", f"{over * 1000:.1f} ms", "40 ms", over),
        ]
    finally:
        bench.close()
        origin.close()
        beacons.close()


def _configure(bench: Bench, url: str) -> None:
    bench.home.mkdir(mode=0o700)
    secret = bench.home / "hook-secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    (bench.home / "config.toml").write_text(
        f'coreServices = []\n[[sources.git]]\nname = "home"\nurl = "{url}"\nref = "main"\n'
        'interval = "1h"\nhookSecretFile = "hook-secret"\n'
    )


def _manifest(beacons: Beacons, number: int) -> str:
    return json.dumps({
        "id": "beacon", "command": beacons.command("beacon"), "env": {"VALUE": str(number)},
        "probes": {"readiness": "none"},
    })  # fmt: skip


def _mirror(bench: Bench, url: str) -> str:
    """Another mirror of the repository, as ours is one: a commit without its history."""
    mirror = str(bench.root / "mirror.git")
    subprocess.run(["git", "init", "--quiet", "--bare", mirror], check=True)
    _fetch(mirror, url)
    return mirror


def _fetch(mirror: str, url: str) -> float:
    line = ["git", "--git-dir", mirror, "fetch", "--quiet", "--depth=1", "--no-tags", url, "main"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    begin = time.perf_counter()
    subprocess.run(line, check=True, env=environment)
    return time.perf_counter() - begin
