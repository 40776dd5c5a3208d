"""What the READMEs have about the machine around a node: owners, systemd, an engine's swarm."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes.processes.ports import free_port
from tests.e2e.netns import Switch, unavailable
from tests.e2e.readmes.shell import BIN, Job, Line, Shell
from tests.e2e.readmes.written import read
from tests.runtimes.docker.engines import OwnEngine, any_engine, own_engine, without_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.nodes import Bench

NODE = "$(docker info --format '{{.Swarm.NodeID}}')"
OWNERS = {"chmod go-w PATH": [Line("chmod go-w h")]}
SWARM = {
    "docker swarm init": [Line("docker swarm init", "is now a manager")],
    "docker node update --label-add kitchen=true NODE": [
        Line(f'docker node update --label-add kitchen=true "{NODE}"'),
    ],
}
UNIT = "## Under systemd\n"


@pytest.fixture
def root() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="atek-readme-"))
    yield made
    shutil.rmtree(made)


def test_a_home_that_others_can_write(root: Path) -> None:
    (root / "h").mkdir()
    (root / "h").chmod(0o777)
    (root / "h" / "config.toml").write_text("coreServices = []\n")
    environment = {"ATEK_HOME": str(root / "h"), "ATEK_PORT": str(free_port())}
    with Shell(root, environment) as shell:
        shell.type([Line("atek up", "write", 1)])
        for lines in OWNERS.values():
            shell.type(lines)
        shell.type([Line("atek up", "node .* on http://localhost", None)])


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("docker")
@pytest.mark.skipif(bool(unavailable()) and "CI" not in os.environ, reason=unavailable())
def test_a_swarm(root: Path) -> None:
    """On a machine of its own: managers listen on all addresses."""
    any_engine()
    if isinstance(why := own_engine(), str):
        without_engine(why)
    with Switch() as switch:
        switch.machine("one")
        engine = OwnEngine(["nsenter", f"--net={switch.path('one')}"])
        engine.start()
        try:
            with Shell(root, {"DOCKER_HOST": f"unix://{engine.socket}"}) as shell:
                for lines in SWARM.values():
                    shell.type(lines)
                shell.type([Line("docker node inspect self", '"kitchen": "true"')])
        finally:
            engine.close()


def test_the_unit(bench: Bench) -> None:
    """What systemd would do by it: `stop` signals the first process only, and `Restart=` begins it again."""
    _, _, part = read("reconciler/cli/README.md").partition(UNIT)
    unit = dict(re.findall(r"^    (\w+)=(.*)$", part.split("\n## ")[0], re.MULTILINE))
    assert unit["KillMode"] == "process" and unit["Restart"] == "always"
    own = {"ATEK_HOME": str(bench.home), "ATEK_PORT": str(free_port())}
    variables = dict(word.split("=") for word in unit["Environment"].split())
    if os.geteuid() != 0:
        # As the README has it for a user's own unit.
        del variables["ATEK_USERS"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **variables, **own}
    line = re.sub(r"^/\S+/bin/", f"{BIN}/", unit["ExecStart"])
    # Where users of services may pass, as in /var/lib.
    bench.root.chmod(0o755)
    (bench.root / "node.log").touch()
    bench.home.mkdir(mode=0o700)
    (bench.home / "config.toml").write_text("coreServices = []\n")
    (bench.home / "manifests").mkdir()
    (bench.home / "manifests" / "hello.yaml").write_text(
        "id: hello\ncommand: [sleep, '1000']\nprobes: {readiness: none}\n"
    )
    pids = []
    for _ in ("first", "restarted"):
        node = Job(f"exec {line}", bench.root, environment)
        bench.until(lambda: bench.ready("hello"), "it is ready")
        pids.append(bench.pid("hello"))
        assert node.stop() == 0
        node.close()
    assert pids[0] == pids[1] and pids[0] in bench.processes()
