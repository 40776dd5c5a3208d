"""The benchmark measures what it says, on a small scale."""

from __future__ import annotations

import json

import pytest

from tests.bench.docker.__main__ import main
from tests.runtimes.docker.engines import restartable_engine

pytestmark = pytest.mark.xdist_group("docker")


def test_it_measures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{restartable_engine().socket}")
    assert main(["--parts", "run,crash", "--pairs", "1", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["what"] for result in results] == [
        "saved revision → container started",
        "SIGKILL → replacement started",
        "SIGKILL → replacement started",
    ]
    assert all(result["value"] > 0 for result in results)
