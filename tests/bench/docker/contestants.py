"""Who starts containers of the same image on the same engine: a node, the docker command, and Compose."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.packages import from_system
from tests.bench.processes import children_of, command_line, cpu_seconds
from tests.e2e.containers import ContainerBench
from tests.runtimes.docker.engines import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What every container runs: a server that ends when it is asked to.
PROGRAM = "serve"
#: Seconds that many containers may take on a busy machine.
_LONG = 600.0


class Node:
    """Ours, with nothing but what the benchmark declares. `socket` is where it finds the engine."""

    def __init__(self, socket: str) -> None:
        self._bench = ContainerBench(socket)
        os.environ["DOCKER_HOST"] = f"unix://{socket}"
        self._bench.up()

    def serve(self, service_id: str, value: str) -> None:
        """Saves a revision. Each crash counts as the first one, after which nobody waits."""
        self._bench.serve(service_id, env={"VALUE": value}, restart={"resetAfter": "100ms"})

    def declare(self, service_ids: Iterable[str]) -> None:
        for service_id in service_ids:
            self.serve(service_id, "0")

    def settle(self, service_ids: Iterable[str]) -> None:
        """Returns once all are ready."""
        names = list(service_ids)
        self._bench.until(lambda: self._bench.ready(*names), f"{len(names)} services are ready", _LONG)

    def process_of(self, service_id: str) -> int:
        return self._bench.pid(service_id)

    def cpu_seconds(self) -> float:
        """Of the node and its router, so far."""
        assert self._bench.node
        children = children_of(self._bench.node.pid)
        routers = [pid for pid in children if b"runtimes.router" in command_line(pid)]
        return cpu_seconds([self._bench.node.pid, *routers])

    def close(self) -> None:
        self._bench.close()


class Cli:
    """`docker`, with a network of its own made beforehand, as Compose and a node have one."""

    def __init__(self, socket: str) -> None:
        self._docker = from_system("docker", "docker.io")
        self._environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}
        self._network = f"bench{os.getpid()}"
        self._command("network", "create", self._network)

    @property
    def version(self) -> str:
        return self._command("version", "--format", "{{.Client.Version}}, engine {{.Server.Version}}")

    def run(self, name: str) -> None:
        self._command("run", "--detach", "--network", self._network, "--name", name, IMAGE, PROGRAM)

    def begin_run(self, name: str) -> subprocess.Popen[bytes]:
        """Without waiting for it."""
        words = ("run", "--detach", "--network", self._network, "--name", name, IMAGE, PROGRAM)
        return subprocess.Popen([self._docker, *words], env=self._environment, stdout=subprocess.DEVNULL)

    def start(self, name: str) -> None:
        self._command("start", name)

    def process_of(self, name: str) -> int:
        return int(self._command("inspect", "--format", "{{.State.Pid}}", name))

    def remove(self, *names: str) -> None:
        self._command("rm", "--force", *names)

    def close(self) -> None:
        self._command("network", "rm", self._network)

    def _command(self, *words: str) -> str:
        return _run([self._docker, *words], self._environment)


class Compose:
    """Debian's docker-compose over a file with many services."""

    def __init__(self, socket: str, service_ids: Iterable[str]) -> None:
        self._command = from_system("docker-compose", "docker-compose")
        self._environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}
        self._folder = tempfile.TemporaryDirectory(prefix="atek-compose-")
        lines = [f"  {name}: {{image: '{IMAGE}', command: {PROGRAM}}}" for name in service_ids]
        text = "\n".join(["version: '3'", "services:", *lines, ""])
        (Path(self._folder.name) / "docker-compose.yml").write_text(text)

    @property
    def version(self) -> str:
        return self._run("version", "--short")

    def up(self) -> None:
        self._run("up", "--detach")

    def close(self) -> None:
        self._run("down", "--timeout", "1")
        self._folder.cleanup()

    def _run(self, *words: str) -> str:
        return _run([self._command, *words], self._environment, self._folder.name)


def _run(words: list[str], environment: dict[str, str], folder: str | None = None) -> str:
    done = subprocess.run(
        words, env=environment, cwd=folder, capture_output=True, text=True, timeout=_LONG, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip()
