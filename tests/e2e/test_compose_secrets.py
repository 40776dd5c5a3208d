"""Secrets and configs of a Compose file, in containers of a real engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from manifests.sops import age
from reconciler.state.age_key import ensure_identity
from runtimes.memory_files import MemoryFiles
from tests.e2e.containers import ContainerBench
from tests.manifests.sops.sealed import sealed
from tests.runtimes.docker.engines import IMAGE, any_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("docker")

FILE = f"""
name: kept
services:
  web:
    image: {IMAGE}
    user: "1000"
    stop_grace_period: 1s
    command: >-
      sh -c 'echo "[$$(cat /run/secrets/password)] [$$(cat /etc/app.conf)] [$$(cat /motd)] [$$URL]" &&
      ls -ln /run/secrets && (echo x > /run/secrets/password || echo read-only) && sleep 1000'
    environment: {{URL: "pg://${{DB_PASSWORD}}@db"}}
    secrets: [password, {{source: own, uid: "1000", mode: 0400}}]
    configs: [motd, {{source: conf, target: /etc/app.conf}}]
secrets:
  password: {{file: password.bin}}
  own: {{environment: DB_PASSWORD}}
configs:
  motd: {{content: "good day"}}
  conf: {{file: app.conf}}
"""
PASSWORD, OTHER = "the-password-of-it", "another-of-the-.env"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBench]:
    made = ContainerBench(any_engine())
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.socket}")
    yield made
    made.close()


def test_they_are_at_the_places_where_compose_puts_them(bench: ContainerBench) -> None:
    bench.home.mkdir(mode=0o700)
    (bench.home / "config.toml").write_text("coreServices = []\n")
    own = age.recipient_of(ensure_identity(bench.home))
    bench.write("password.bin", sealed("binary", PASSWORD, own).decode())
    bench.write(".env", sealed("dotenv", f"DB_PASSWORD={OTHER}\n", own).decode())
    bench.write("app.conf", "a = 1")
    bench.write("compose.yaml", FILE)
    bench.up()
    bench.until(lambda: bench.ready("kept-web"), "it is ready")
    line = f"[{PASSWORD}] [a = 1] [good day] [pg://{OTHER}@db]"
    bench.until(lambda: line in bench.atek("logs", "kept-web").stdout, "it has read them")
    bench.until(lambda: "read-only" in bench.atek("logs", "kept-web").stdout, "it could not write")
    assert "-r--------    1 1000" in bench.atek("logs", "kept-web").stdout

    (instance,) = bench.instances("kept-web")
    found = bench.engine("GET", f"/containers/{instance['container']}/json")
    assert PASSWORD not in json.dumps(found)
    assert OTHER not in json.dumps(found["Config"]["Labels"])
    assert PASSWORD + OTHER not in bench.atek("status", "--json").stdout
    memory = MemoryFiles(bench.home, "containers")._root
    assert memory is not None and len(list(memory.iterdir())) == 1
    revision = bench.service("kept-web")["observedRevision"]

    # A node that is killed finds it again as it was, and one of its files that is another one starts it anew.
    bench.kill()
    bench.up()
    bench.until(lambda: bench.ready("kept-web"), "it is adopted")
    assert bench.instances("kept-web")[0]["container"] == instance["container"]
    bench.write("app.conf", "a = 2")
    bench.until(lambda: "[a = 2]" in bench.atek("logs", "kept-web").stdout, "it runs anew")
    assert bench.service("kept-web")["observedRevision"] != revision
    (bench.folder / "compose.yaml").unlink()
    bench.until(lambda: not memory.exists(), "nothing is left of it")
