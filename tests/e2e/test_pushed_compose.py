"""A folder with a Compose file, pushed from the laptop to the pi, on real nodes and a real engine."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.e2e.containers import ContainerMember
from tests.e2e.members import Member
from tests.hyper.daemons import free_port
from tests.runtimes.docker.engines import IMAGE, any_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("docker")


@pytest.fixture
def laptop() -> Iterator[Member]:
    made = Member("laptop")
    yield made
    made.close()


@pytest.fixture
def pi(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerMember]:
    made = ContainerMember(any_engine(), "pi")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.socket}")
    yield made
    made.close()


@pytest.fixture
def wiki(tmp_path: Path) -> Path:
    """A page that a built image has, served once the database beside it is healthy."""
    folder = tmp_path / "wiki"
    (folder / "web").mkdir(parents=True)
    (folder / "web" / "page.html").write_text("from the laptop\n")
    (folder / "web" / "web.Dockerfile").write_text(
        f"FROM {IMAGE} AS base\nARG NAME=none\nENV NAME=$NAME\nCOPY page.html /www/index.html\n"
        "FROM base AS broken\nRUN false\n"
    )
    return folder


def write(folder: Path, port: str) -> None:
    (folder / "compose.yaml").write_text(f"""
name: wiki
services:
  db:
    image: {IMAGE}
    stop_grace_period: 1s
    command: sh -c 'touch /data/here; sleep 1000'
    healthcheck: {{test: [CMD, cat, /data/here], interval: 1s}}
    volumes: ["data:/data"]
  web:
    build: {{context: ./web, dockerfile: web.Dockerfile, target: base, args: [NAME=wiki]}}
    stop_grace_period: 1s
    command: sh -c 'echo named $$NAME; exec httpd -f -p 80 -h /www'
    ports: ["{port}:80"]
    depends_on: {{db: {{condition: service_healthy}}}}
volumes: {{data: }}
""")


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_a_pushed_compose_file_runs_there_within_limits(
    laptop: Member, pi: ContainerMember, wiki: Path
) -> None:
    laptop.up()
    pi.up()
    port = free_port()
    others = ("--trust", "foreign", "--runtimes", "docker", "--egress", "*", "--ports", str(port))
    pi.follow(laptop, *others)
    laptop.follow(pi, "--status-only")
    # The pi has a project of that name too, which is another one.
    pi.write("compose.yaml", f"name: wiki\nservices: {{own: {{image: {IMAGE}, command: sleep 1000}}}}\n")
    write(wiki, f"127.0.0.1:{port}")
    assert "wiki-web pushed" in laptop.told("push", str(wiki), "--to", "pi", "--wait")
    assert page(port) == "from the laptop\n"
    assert "named wiki" in pi.atek("logs", "wiki-web").stdout
    (web,), (own,) = pi.instances("wiki-web"), pi.instances("wiki-own")
    networks = [
        set(pi.engine("GET", f"/containers/{each['container']}/json")["NetworkSettings"]["Networks"])
        for each in (web, own)
    ]
    assert networks[0].isdisjoint(networks[1])

    write(wiki, f"0.0.0.0:{port}")
    done = laptop.atek("push", str(wiki), "--to", "pi", "--wait")
    assert done.returncode == 1 and "PolicyForbids" in done.stderr and "--open-ports" in done.stderr
    assert page(port) == "from the laptop\n"
    pi.follow(laptop, *others, "--open-ports")
    pi.until(lambda: f"0.0.0.0:{port}" in str(ports(pi)), "it is published as the file says")
    pi.until(lambda: pi.ready("wiki-web", "wiki-own"), "both are ready")
    for service in ("wiki-web", "wiki-db"):
        laptop.told("delete", service)
    pi.until(lambda: not pi.service("wiki-web")["instances"], "it is gone")
    pi.until(lambda: not pi.built(), "its image is gone too")


def ports(pi: ContainerMember) -> list[str]:
    query = {"filters": {"label": ["cloud.atek.service=wiki-web"]}}
    found = pi.engine("GET", "/containers/json", query=query)
    return [f"{port.get('IP')}:{port.get('PublicPort')}" for each in found for port in each["Ports"]]
