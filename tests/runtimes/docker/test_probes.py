"""Whether a container is ready is said by its image's HEALTHCHECK, and by commands run inside of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e.containers import ContainerBench
from tests.runtimes.docker.engines import IMAGE, any_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("docker")

CHECK = "test -f /atek/data/fine"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBench]:
    made = ContainerBench(any_engine())
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.socket}")
    yield made
    made.close()


def test_healthchecks_and_commands_inside_decide(bench: ContainerBench) -> None:
    package = bench.root / "package"
    package.mkdir()
    health = f"HEALTHCHECK --interval=200ms --timeout=20s --retries=1 CMD {CHECK}"
    (package / "Dockerfile").write_text(f'FROM {IMAGE}\n{health}\nCMD ["serve"]\n')
    bench.write("app.yaml", f"id: image\nsource: {package}\n")
    inside = {"exec": {"command": ["sh", "-c", CHECK]}, "periodSeconds": 0.2, "timeoutSeconds": 20}
    bench.serve("inside", probes={"readiness": inside})
    bench.up()
    for each in ("image", "inside"):
        bench.until(partial(bench.instances, each), f"{each} is started")
    bench.until(lambda: not bench.ready("image") and not bench.ready("inside"), "neither is fine yet")
    for each in ("image", "inside"):
        (bench.home / "data" / each / "fine").touch()
    bench.until(lambda: bench.ready("image", "inside"), "both are fine")
    for each in ("image", "inside"):
        (bench.home / "data" / each / "fine").unlink()
    bench.until(lambda: bench.condition("image")[0] == "False", "the image's own check counts")
    bench.until(lambda: bench.condition("inside")[0] == "False", "the command counts")
    assert "HEALTHCHECK says unhealthy" in bench.condition("image")[2]
    assert "exited with status 1" in bench.condition("inside")[2]


def test_a_command_that_hangs_does_not_stay(bench: ContainerBench) -> None:
    command = ["sh", "-c", "touch /atek/data/asked; sleep 1234; true"]
    hangs = {"exec": {"command": command}, "periodSeconds": 0.2, "timeoutSeconds": 1, "failureThreshold": 1}
    bench.serve("slow", probes={"readiness": hangs})
    bench.up()
    asked = bench.home / "data" / "slow" / "asked"
    times: set[int] = set()

    def seen() -> int:
        if asked.exists():
            times.add(asked.stat().st_mtime_ns)
        return len(times)

    bench.until(lambda: seen() >= 3, "it is asked again and again")
    (container,) = bench.containers().values()
    told = bench.engine("GET", f"/containers/{container}/top")
    assert sum(line[-1] == "sleep 1234" for line in told["Processes"]) <= 1
