"""Newer images, taken by a whole node on a real engine, and given back when they do not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.containers import ContainerBench
from tests.runtimes.docker.engines import any_engine, root_folder
from tests.runtimes.docker.registry import registry
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.runtimes.docker.registry import Registry

pytestmark = pytest.mark.xdist_group("docker")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBench]:
    made = ContainerBench(any_engine())
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.socket}")
    yield made
    made.close()


@pytest.fixture
def images() -> Iterator[Registry]:
    with registry() as found:
        yield found


def serve(bench: ContainerBench, image: str, rule: str) -> None:
    update, rules = {"healthyDeadline": "3s"}, {"schedule": "1s", "image": rule}
    bench.serve(image=image, update=update, autoUpdate=rules)


def reason(bench: ContainerBench) -> str:
    return bench.condition("web", "Updatable")[1]


def test_a_newer_tag_is_taken_and_a_broken_one_given_back(bench: ContainerBench, images: Registry) -> None:
    images.add("app", "1.0.0", "one", root_folder())
    serve(bench, f"{images.address}/app:1.0.0", "^1")
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    assert bench.answer() == "one"
    second = images.add("app", "1.1.0", "two", root_folder())
    images.add("app", "2.0.0", "not in the range", root_folder())
    bench.until(lambda: "from 1.0.0 to 1.1.0" in bench.atek("events").stdout, "1.1.0 is tried")
    bench.until(lambda: bench.ready("web") and bench.answer() == "two", "1.1.0 is taken")
    assert bench.service("web")["image"] == f"{images.address}/app@{second}"
    bench.until(lambda: "Updated" in bench.atek("events").stdout, "and stays")
    images.add("app", "1.2.0", "an image without a program")
    bench.until(lambda: reason(bench) == "Reverted", "1.2.0 is given back")
    bench.until(lambda: bench.ready("web") and bench.answer() == "two", "1.1.0 serves")
    bench.kill()
    bench.up()
    bench.until(lambda: bench.ready("web") and bench.answer() == "two", "in the next life too")
    assert reason(bench) == "Reverted"
    images.add("app", "1.2.1", "three", root_folder())
    bench.until(lambda: bench.ready("web") and bench.answer() == "three", "1.2.1 is taken")


def test_what_a_tag_is_now(bench: ContainerBench, images: Registry) -> None:
    images.add("app", "stable", "one", root_folder())
    serve(bench, f"{images.address}/app:stable", "digest")
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    before = bench.containers()
    asked = len(images.asked)
    bench.until(lambda: len(images.asked) > asked + 2, "it is looked at")
    assert bench.containers() == before, "the same image is no news"
    images.add("app", "stable", "two", root_folder())
    bench.until(lambda: bench.ready("web") and bench.answer() == "two", "it is taken")
    bench.until(lambda: "Updated" in bench.atek("events").stdout, "and stays")
    images.add("app", "stable", "an image without a program")
    bench.until(lambda: reason(bench) == "Reverted", "it is given back")
    bench.until(lambda: bench.ready("web") and bench.answer() == "two", "what served before serves")


def test_what_works_is_written_back_into_its_repository(
    bench: ContainerBench, images: Registry, tmp_path: Path
) -> None:
    origin = Repository(tmp_path / "origin")
    first = f"{images.address}/app:1.0.0"
    images.add("app", "1.0.0", "one", root_folder())
    rule = "autoUpdate: {image: ^1, schedule: 1s, writeBack: true}\nupdate: {healthyDeadline: 3s}\n"
    text = f"# served at home\nid: web\ncommand: [serve]\nimage: {first}  # see the registry\n{rule}"
    origin.commit({"web.yaml": text})
    bench.home.mkdir(mode=0o700)
    source = f'[[sources.git]]\nname = "home"\nurl = "{origin.path}"\ninterval = "1h"\nonFailure = "revert"\n'
    (bench.home / "config.toml").write_text(f"coreServices = []\n{source}")
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    second = images.add("app", "1.1.0", "two", root_folder())
    bench.until(lambda: "UpdateWritten" in bench.atek("events").stdout, "it is written back")
    written = f"{images.address}/app:1.1.0@{second}"
    bare = ("--git-dir", str(origin.path))
    assert origin.git(*bare, "show", "main:web.yaml") == text.replace(first, written).strip()
    assert origin.git(*bare, "log", "--format=%s", "main").split("\n")[0].startswith("Update web to ")
    commit = origin.git(*bare, "rev-parse", "main")
    before = bench.containers()
    bench.until(lambda: commit[:12] in bench.atek("status", "--json").stdout, "the node has its own commit")
    told = f"main@{commit[:12]}: its services are ready"
    bench.until(lambda: told in bench.atek("events").stdout, "and is ready")
    assert bench.containers() == before and bench.answer() == "two", "nothing is started for it"
    # What the registry has next does not work: it goes back, and nobody writes it.
    images.add("app", "1.2.0", "an image without a program")
    bench.until(lambda: reason(bench) == "Reverted", "1.2.0 is given back")
    bench.until(lambda: bench.ready("web") and bench.answer() == "two", "1.1.0 serves")
    assert origin.git(*bare, "rev-parse", "main") == commit
