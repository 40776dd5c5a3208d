"""Our node with its router: started like a person's, found through its own commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.bench.processes import children_of, command_line
from tests.bench.router.backends import PlainBackend
from tests.bench.router.daemon import Daemon
from tests.bench.router.wire import (
    API,
    PATIENCE,
    SERVICE,
    Connection,
    WrongAnswer,
    expect_answer,
    gateway_call,
    plain_get,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.router.backends import BackendKind
    from tests.bench.router.wire import Address

#: The service for bodies of any length.
BODIES = "bodies"
_ATEK = str(Path(sys.executable).with_name("atek"))


class Atek(Daemon):
    """A node whose services are the backend, a second one for long bodies, and whatever `write` adds."""

    def __init__(self, kind: BackendKind, name: str = "atek", config: str = "", atek: str = _ATEK) -> None:
        """`config`: the text of config.toml; `atek`: the command, of another version perhaps."""
        super().__init__()
        self._atek = atek
        self.name = name
        self.manifests, self._home = self.folder / "m", self.folder / "h"
        self.manifests.mkdir()
        self._home.mkdir(mode=0o700)
        (self._home / "config.toml").write_text(f"coreServices = []\n{config}")
        self.token = ""
        self.address: Address = ("127.0.0.1", 0)
        self.write(
            {
                "id": SERVICE,
                "command": kind.service_command(self.folder),
                "exports": [{"api": API, "path": "/"}],
            },
            {"id": BODIES, "command": PlainBackend().service_command(self.folder)},
        )

    def write(self, *manifests: Mapping[str, Any]) -> None:
        """Saves them, each as a careful editor does."""
        for manifest in manifests:
            path = self.manifests / f"{manifest['id']}.json"
            new = path.with_name(f".{path.name}.new")
            new.write_text(json.dumps({"runtime": "process", **manifest}))
            new.rename(path)

    def start(self) -> None:
        self.begin(self._atek, "up", self.manifests, "--home", self._home, "--port", "0")
        self.until(self._answers, "the node answers")
        self.token = self._run("token").stdout.strip()
        self.until(self._serves, "the router serves both services")

    def pids(self) -> list[int]:
        """The router's alone."""
        assert self.process
        found = [pid for pid in children_of(self.process.pid) if b"runtimes.router" in command_line(pid)]
        if len(found) != 1:
            raise SystemExit(f"{len(found)} processes of the node are its router, instead of one")
        return found

    @property
    def node_pid(self) -> int:
        assert self.process
        return self.process.pid

    def check(self) -> None:
        """Whether it looks at the token at all."""
        with Connection(self.address) as connection:
            answer = connection.ask(gateway_call("x" * len(self.token)))
        if answer.status != 401:
            raise WrongAnswer(f"a wrong token got {answer.status} {answer.body[:200]!r}")

    def stop(self) -> None:
        run = self._home / "run"
        short = Path(os.readlink(run)) if run.is_symlink() else None
        super().stop()
        if short:
            shutil.rmtree(short, ignore_errors=True)

    def _answers(self) -> bool:
        done = self._run("status", "--json")
        if done.returncode != 0:
            return False
        url = urlsplit(json.loads(done.stdout)["node"]["address"])
        self.address = ("127.0.0.1", url.port or 0)
        return True

    def _serves(self) -> bool:
        try:
            for request in (gateway_call(self.token), plain_get(), plain_get(service=BODIES)):
                expect_answer(self.address, request)
        except (WrongAnswer, OSError):
            return False
        return True

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = [self._atek, *words, "--home", str(self._home)]
        return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
