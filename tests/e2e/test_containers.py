"""Containers on a whole node: routed, replaced, adopted, kept in order, whatever happens to their engine."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from runtimes.docker.labels import of_node
from runtimes.processes.ports import free_port
from tests.e2e.containers import ContainerBench
from tests.runtimes.docker.engines import IMAGE, OwnEngine, any_engine, restartable_engine
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("docker")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBench]:
    made = ContainerBench(any_engine())
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.socket}")
    yield made
    made.close()


@pytest.fixture
def engine() -> Iterator[OwnEngine]:
    found = restartable_engine()
    yield found
    found.ensure()


def test_a_container_serves_on_its_socket_and_is_logged(bench: ContainerBench) -> None:
    bench.serve(env={"VERSION": "one"})
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    assert bench.answer() == "one"
    (instance,) = bench.instances()
    assert instance["container"] in bench.containers().values()
    bench.until(lambda: "serves one" in bench.atek("logs", "web").stdout, "its output is logged")
    assert bench.stop() == 0
    assert bench.containers() == {}


def test_a_port_of_its_own_address_and_a_rolling_update(bench: ContainerBench) -> None:
    bench.serve(port=80, env={"VERSION": "one"}, capabilities=["NET_BIND_SERVICE"])
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    assert bench.answer() == "one"
    before = bench.containers()
    bench.serve(port=80, env={"VERSION": "two"}, capabilities=["NET_BIND_SERVICE"])
    bench.until(lambda: bench.answer() == "two", "the new revision serves")
    bench.until(lambda: len(bench.containers()) == 1, "the old one is gone")
    assert not before.keys() & bench.containers().keys()


def test_a_dockerfile_in_a_git_repository(bench: ContainerBench, tmp_path: Path) -> None:
    origin = Repository(tmp_path / "apps")

    def dockerfile(version: str) -> str:
        return f'FROM {IMAGE}\nENV VERSION={version}\nCMD ["serve"]\n'

    first = origin.commit({"web/Dockerfile": dockerfile("one"), "web/VERSION": "one", "README": "of all"})
    bench.declare("web", "serve", source=f"{origin.path}#main:web", probes={})
    bench.declare("old", "serve", source=f"{origin.path}#{first}:web", probes={})
    bench.declare("none", source=f"{origin.path}#v9")
    bench.up()
    bench.until(lambda: bench.ready("web") and bench.ready("old"), "they are ready")
    assert (bench.answer(), bench.answer("old")) == ("one", "one")
    bench.until(lambda: bench.condition("none", "Ready")[1] == "GitFetchFailed", "it says why")
    assert bench.condition("none", "Stalled")[0] == "False"
    before = bench.containers()
    bench.kill()
    origin.path.rename(tmp_path / "away")
    bench.up()
    bench.until(lambda: bench.ready("web") and bench.ready("old"), "they are ready without it")
    assert bench.containers() == before
    bench.kill()
    (tmp_path / "away").rename(origin.path)
    origin.commit({"README": "a change elsewhere"})
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    origin.commit({"web/Dockerfile": dockerfile("two")})
    assert bench.stop() == 0
    bench.up()
    bench.until(lambda: bench.answer() == "two", "the new commit serves")
    assert bench.answer("old") == "one"


def test_a_revision_that_cannot_run_leaves_the_old_one_serving(bench: ContainerBench) -> None:
    bench.serve(env={"VERSION": "one"})
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    before = bench.containers()
    bench.serve(image="no.such.registry.invalid/none:1", pull="never")
    bench.until(lambda: bench.condition("web", "Stalled")[1] == "ImageMissing", "it says why")
    assert bench.answer() == "one"
    assert bench.containers() == before


def test_the_next_life_of_a_killed_node_adopts(bench: ContainerBench) -> None:
    bench.serve(env={"VERSION": "one"})
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    before = bench.containers()
    bench.kill()
    assert bench.containers() == before
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready again")
    assert bench.containers() == before
    assert bench.answer() == "one"


def test_what_is_killed_or_removed_from_outside_is_replaced(bench: ContainerBench) -> None:
    bench.serve()
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    (first,) = bench.containers()
    os.kill(bench.instances()[0]["pid"], signal.SIGKILL)
    bench.until(lambda: bench.ready("web") and first not in bench.containers(), "it is replaced")
    ((second, container),) = bench.containers().items()
    bench.engine("DELETE", f"/containers/{container}", query={"force": True})
    bench.until(lambda: bench.ready("web") and second not in bench.containers(), "it is replaced again")
    ((third, container),) = bench.containers().items()
    bench.engine("POST", f"/containers/{container}/rename", query={"name": f"renamed-{third}"})
    bench.engine("POST", f"/containers/{container}/pause")
    bench.until(
        lambda: bench.engine("GET", f"/containers/{container}/json")["State"]["Status"] == "running",
        "it goes on",
    )
    assert bench.containers() == {third: container}


def test_more_memory_than_allowed_is_told(bench: ContainerBench) -> None:
    bench.declare("eater", "sh", "-c", "x=a; while :; do x=$$x$$x; done", image=IMAGE,
                  resources={"memory": "16Mi"})  # fmt: skip
    bench.up()
    bench.until(lambda: bench.condition("eater")[1] == "OOMKilled", "it says why")


def test_an_unmodified_app_reaches_the_node_at_localhost(bench: ContainerBench) -> None:
    script = "while ! wget -q -O - http://localhost:$$ATEK_HOST_PORT/livez; do sleep 0.1; done; sleep 1000"
    bench.declare("asks", "sh", "-c", script, image=IMAGE, network="none")
    bench.up()
    bench.until(lambda: "ok" in bench.atek("logs", "asks").stdout, "it got an answer")


def test_an_engine_that_goes_takes_nothing_else_along(bench: ContainerBench, engine: OwnEngine) -> None:
    bench.serve(env={"VERSION": "one"})
    bench.declare("plain", "sleep", "1000")
    bench.up()
    bench.until(lambda: bench.ready("web", "plain"), "both are ready")
    plain = bench.pid("plain")
    engine.stop()
    bench.until(lambda: bench.condition("web")[:2] == ("Unknown", "RuntimeUnavailable"), "it is told")
    assert bench.ready("plain")
    bench.declare("other", "sleep", "1000")
    bench.until(lambda: bench.ready("other"), "everything else goes on")
    engine.start()
    bench.until(lambda: bench.ready("web"), "it heals by itself")
    assert bench.answer() == "one"
    assert bench.pid("plain") == plain


def test_an_engine_that_is_away_at_the_start(bench: ContainerBench, engine: OwnEngine) -> None:
    engine.stop()
    bench.serve()
    bench.declare("plain", "sleep", "1000")
    bench.up()
    bench.until(lambda: bench.ready("plain"), "what needs no engine runs")
    bench.until(lambda: bench.condition("web")[1] == "RuntimeUnavailable", "it is told")
    engine.start()
    bench.until(lambda: bench.ready("web"), "it starts once it can")


def test_a_node_ends_although_its_engine_is_away(bench: ContainerBench, engine: OwnEngine) -> None:
    bench.serve()
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is ready")
    engine.stop()
    bench.until(lambda: bench.condition("web")[0] == "Unknown", "it is told")
    began = time.monotonic()
    assert bench.stop() == 0
    assert time.monotonic() - began < 30
    engine.start()


def test_a_package_with_a_dockerfile_is_built_once(bench: ContainerBench) -> None:
    package = bench.root / "package"
    package.mkdir()
    (package / "Dockerfile").write_text(f'FROM {IMAGE}\nENV VERSION=built\nCMD ["serve"]\n')
    bench.write("app.yaml", f"id: web\nsource: {package}\n")
    bench.up()
    bench.until(lambda: bench.ready("web"), "it is built and ready")
    assert bench.answer() == "built"
    failing = f"FROM {IMAGE}\nRUN echo begins; echo 'Error: no such thing'; echo '}}'; exit 3\n"
    (package / "Dockerfile").write_text(failing)
    bench.until(lambda: bench.condition("web", "Reconciling")[1] == "BuildFailed", "it says why")
    told = bench.condition("web", "Reconciling")[2]
    assert "Error: no such thing" in told and "code: 3" in told and "Step" not in told
    assert bench.answer() == "built"
    (before,) = bench.built()
    (package / "Dockerfile").write_text(f'FROM {IMAGE}\nENV VERSION=newer\nCMD ["serve"]\n')
    bench.until(lambda: before not in bench.built(), "the newer image has taken the older one's place")
    assert bench.answer() == "newer"
    assert len(bench.built()) == 1


def test_a_container_that_is_killed_runs_again_with_what_was_written_inside(bench: ContainerBench) -> None:
    words = bench.home / "data" / "web" / "words"
    tells = "cat /etc/words > /atek/data/new; mv /atek/data/new /atek/data/words"
    script = f"echo $VERSION >> /etc/words; {tells}; exec serve"
    rest = {"image": IMAGE, "readOnly": False, "probes": {}}
    bench.declare("web", "sh", "-c", script, env={"VERSION": "one"}, **rest)
    # Containers are told the port: with another one they are others.
    port = str(free_port())
    bench.up("--port", port)
    bench.until(lambda: bench.ready("web") and words.read_text() == "one\n", "it has written")
    (before,) = bench.containers().values()
    os.kill(bench.instances()[0]["pid"], signal.SIGKILL)
    bench.until(lambda: bench.ready("web") and words.read_text() == "one\none\n", "it is there still")
    assert list(bench.containers().values()) == [before]
    bench.kill()
    bench.engine("POST", f"/containers/{before}/kill")
    bench.up("--port", port)
    bench.until(lambda: bench.ready("web") and words.read_text() == "one\none\none\n", "and again")
    bench.declare("web", "sh", "-c", script, env={"VERSION": "two"}, **rest)
    bench.until(lambda: words.read_text() == "two\n", "another revision begins anew")
    query = {"all": True, "filters": of_node((bench.home / "state" / "engine-node").read_text())}
    bench.until(lambda: len(bench.engine("GET", "/containers/json", query=query)) == 1, "the old one is gone")
