"""A saved edit of a package whose dependencies are the same: until it is prepared, and until it answers."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.bench.processes import children_of
from tests.bench.router.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.versions.earlier import Version

#: Seconds that a registry and an installation may take.
INSTALL = 900.0
#: A node at rest has its router and the one instance. An edit comes when it has been so for some seconds: the
#: earlier revision has ended, and what is done ahead for the next one is done.
AT_REST = 2
SETTLE = 8.0
NODE = """
require('http').createServer((request, response) => response.end('edition 0'))
  .listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
"""
PYTHON = """
import os
from http.server import BaseHTTPRequestHandler
from socketserver import UnixStreamServer

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"edition 0")

    def log_message(self, *_):
        pass

UnixStreamServer(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Page).serve_forever()
"""


@dataclass(frozen=True)
class Kind:
    """`main` is the file that is edited, `rest` are the others of the package."""

    name: str
    main: str
    text: str
    rest: dict[str, str]


def node_package(dependencies: dict[str, str]) -> Kind:
    return Kind("Node", "index.js", NODE, {"package.json": json.dumps({"dependencies": dependencies})})


def python_package(*requirements: str) -> Kind:
    return Kind("Python", "main.py", PYTHON, {"requirements.txt": "\n".join([*requirements, ""])})


@dataclass(frozen=True)
class Edit:
    """Seconds since it was saved, but `prepared`, which is from the begin of the preparation to its end."""

    prepared: float
    answered: float


class Site(Daemon):
    """A node of one version, with one package as its service `site`."""

    def __init__(self, version: Version, kind: Kind, settle: float) -> None:
        """`settle`: seconds of rest before each edit."""
        super().__init__()
        self._rest = settle
        self._version, self._kind = version, kind
        self._home, self._package = self.folder / "h", self.folder / "p"
        self._heard: list[tuple[float, str]] = []
        self._events: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Until the first revision answers: everything is installed then."""
        manifests = self.folder / "m"
        for folder in (manifests, self._package):
            folder.mkdir()
        self._home.mkdir(mode=0o700)
        (self._home / "config.toml").write_text("coreServices = []\n")
        for name, text in {**self._kind.rest, self._kind.main: self._kind.text}.items():
            (self._package / name).write_text(text)
        (manifests / "site.json").write_text(json.dumps({"id": "site", "source": str(self._package)}))
        self.begin(self._version.atek, "up", manifests, "--home", self._home, "--port", "0")
        self._until(self._has_address, "the node answers")
        self._until(lambda: self._page() == "edition 0", "the package is installed")
        self._listen()
        self._settle()

    def edit(self, number: int) -> Edit:
        """Saves edition `number`."""
        self._heard.clear()
        path = self._package / self._kind.main
        new = self.folder / "new"
        new.write_text(self._kind.text.replace("edition 0", f"edition {number}"))
        begin = time.perf_counter()
        new.rename(path)
        self._until(lambda: self._page() == f"edition {number}", f"edition {number} answers")
        answered = time.perf_counter() - begin
        self._until(lambda: self._at("Prepared") is not None, "the preparation is told")
        self._settle()
        first, last = self._at("Preparing"), self._at("Prepared")
        assert first is not None and last is not None
        return Edit(last - first, answered)

    def stop(self) -> None:
        if self._events:
            self._events.kill()
            self._events.wait()
        super().stop()

    def _listen(self) -> None:
        """`atek events -f`, with the moment of each line."""
        words = [self._version.atek, "events", "-f", "-n", "1", "--home", str(self._home)]
        self._events = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

        def read() -> None:
            assert self._events and self._events.stdout
            for line in self._events.stdout:
                self._heard.append((time.perf_counter(), line))

        threading.Thread(target=read, daemon=True).start()
        self._until(lambda: bool(self._heard), "events are told")

    def _settle(self) -> None:
        """Until the node is at rest."""
        assert self.process
        since = time.monotonic()
        while time.monotonic() < since + self._rest:
            if len(children_of(self.process.pid)) != AT_REST:
                since = time.monotonic()
            time.sleep(0.05)

    def _at(self, reason: str) -> float | None:
        """When it was told first since the edit."""
        return next((at for at, line in list(self._heard) if f" {reason} " in line), None)

    def _page(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", "/", headers={"Host": "site.localhost"})
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def _has_address(self) -> bool:
        words = [self._version.atek, "status", "--json", "--home", str(self._home)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode == 0:
            self._port = urlsplit(json.loads(done.stdout)["node"]["address"]).port or 0
        return done.returncode == 0

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + INSTALL
        while not holds():
            if time.monotonic() > deadline or (self.process and self.process.poll() is not None):
                raise SystemExit(f"{self._version.name}, {what}: not so\n{self.log.read_text()[-2000:]}")
            time.sleep(0.005)


def measure_edits(
    versions: list[Version], kind: Kind, rounds: int, settle: float = SETTLE
) -> dict[str, list[Edit]]:
    """The versions take turns."""
    sites = {version.name: Site(version, kind, settle) for version in versions}
    taken: dict[str, list[Edit]] = {name: [] for name in sites}
    try:
        for site in sites.values():
            site.start()
        for number in range(1, rounds + 1):
            for name, site in sites.items():
                taken[name].append(site.edit(number))
    finally:
        for site in sites.values():
            site.stop()
    return taken
