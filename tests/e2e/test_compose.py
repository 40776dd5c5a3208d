"""A Compose file on a whole node, on a real engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.containers import ContainerBench
from tests.runtimes.docker.engines import IMAGE, any_engine
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("docker")

FILE = f"""
name: pair
services:
  back:
    image: {IMAGE}
    stop_grace_period: 1s
    command: sh -c 'mkdir -p /www && echo from-the-back > /www/index.html && httpd -f -p 80 -h /www'
    volumes: ["shared:/shared", "./made:/made"]
    healthcheck: {{test: [CMD, wget, -q, -O, "-", "http://127.0.0.1/"], interval: 1s}}
  front:
    image: {IMAGE}
    stop_grace_period: 1s
    entrypoint: [sh, -c]
    command: ["wget -q -O - http://back/ && echo home=$$HOME && id -u && sleep 1000"]
    volumes: ["shared:/shared"]
    depends_on: {{back: {{condition: service_healthy}}}}
    mem_limit: 64m
    labels: {{mine: "yes"}}
volumes: {{shared: }}
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBench]:
    made = ContainerBench(any_engine())
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.socket}")
    yield made
    made.close()


def test_two_services_of_a_file_wait_for_each_other_and_meet_by_name(bench: ContainerBench) -> None:
    bench.home.mkdir(mode=0o700)
    config = f"coreServices = []\n[docker]\nbinds = [{json.dumps(str(bench.folder))}]\n"
    (bench.home / "config.toml").write_text(config)
    bench.write("compose.yaml", FILE)
    bench.up()
    bench.until(lambda: bench.ready("pair-back", "pair-front"), "both are ready")
    bench.until(lambda: "from-the-back" in bench.atek("logs", "pair-front").stdout, "they met")
    assert (bench.folder / "made").is_dir()
    (instance,) = bench.instances("pair-front")
    found = bench.engine("GET", f"/containers/{instance['container']}/json")
    assert found["Config"]["Labels"]["mine"] == "yes"
    assert found["HostConfig"]["Memory"] == 64 * 2**20
    assert found["HostConfig"]["ReadonlyRootfs"] is False
    (volume,) = [each["Name"] for each in found["Mounts"] if each["Type"] == "volume"]
    assert volume.endswith("_pair_shared")
    assert bench.stop() == 0
    assert bench.containers() == {}


FROM_GIT = f"""
name: web
services:
  web:
    image: {IMAGE}
    stop_grace_period: 1s
    command: [sh, -c, "cat /conf/deep/a /one; touch /conf/b || echo cannot write; sleep 1000"]
    volumes: ["./conf:/conf", "./one:/one:ro"]
"""


def test_a_file_from_git_has_its_own_folders_at_that_commit(bench: ContainerBench, tmp_path: Path) -> None:
    origin = Repository(tmp_path / "origin")
    origin.commit({"shop/compose.yaml": FROM_GIT, "shop/conf/deep/a": "first", "shop/one": "-of-all\n"})
    bench.home.mkdir(mode=0o700)
    source = f'[[sources.git]]\nname = "home"\nurl = "{origin.path}"\ninterval = "1s"\n'
    (bench.home / "config.toml").write_text(f"coreServices = []\n{source}")
    bench.up()
    bench.until(lambda: "first-of-all" in bench.atek("logs", "web").stdout, "it sees the first")
    assert "cannot write" in bench.atek("logs", "web").stdout
    (before,) = bench.instances("web")
    # What else changes in the repository is not its affair; what it mounts is.
    second = origin.commit({"shop/other": "x"})
    bench.until(lambda: f"{second[:12]}" in bench.atek("status", "--json").stdout, "it is applied")
    assert bench.instances("web")[0]["container"] == before["container"]
    origin.commit({"shop/conf/deep/a": "second"})
    bench.until(lambda: "second-of-all" in bench.atek("logs", "web").stdout, "it sees the second")
    bench.until(lambda: bench.ready("web"), "it is ready")
