"""A Python package whose version comes from its repository's tags."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.programs.trial import Trial

PYPROJECT = """
[build-system]
requires = ["setuptools==80.9.0", "setuptools-scm==8.3.1"]
build-backend = "setuptools.build_meta"

[project]
name = "clock"
dynamic = ["version"]
dependencies = []

[project.scripts]
clock = "clock:main"

[tool.setuptools]
py-modules = ["clock"]

[tool.setuptools_scm]
"""
CLOCK = """
import os, socketserver
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(version("clock").encode())

    def address_string(self):
        return "somebody"

def main():
    with socketserver.UnixStreamServer(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], Page) as server:
        server.serve_forever()
"""


class Repository:
    """A bare one, `<name>.git`, and the working copy that is pushed to it."""

    def __init__(self, root: Path) -> None:
        self.work = root / "work"
        self.bare = root / "clock.git"
        self._git("init", "-q", "--bare", "-b", "main", str(self.bare), at=root)
        self._git("init", "-q", "-b", "main", str(self.work), at=root)

    def commit(self, files: dict[str, str], *tags: str) -> None:
        for name, text in files.items():
            (self.work / name).write_text(text)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", "work")
        for tag in tags:
            self._git("tag", "-a", "-m", tag, tag)
        self._git("push", "-q", "--tags", str(self.bare), "main")

    def _git(self, *words: str, at: Path | None = None) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *who, *words], cwd=at or self.work, check=True, env=environment)


def test_setuptools_scm(trial: Trial) -> None:
    trial.name, trial.version = "setuptools-scm from Git", "8.3.1"
    repository = Repository(trial.root)
    repository.commit({"pyproject.toml": PYPROJECT, "clock.py": CLOCK}, "v1.2.3")
    repository.commit({"README": "more\n"})
    with trial.step("a tag"):
        trial.manifest("clock", source=f"{repository.bare}#v1.2.3")
        trial.up()
        trial.installed("clock")
        assert trial.page("clock") == "1.2.3"
    with trial.step("a commit after it"):
        trial.rolled("clock", lambda: trial.manifest("clock", source=f"{repository.bare}#main"))
        assert trial.page("clock").startswith("1.2.4.dev1+g"), trial.page("clock")
    with trial.step("another tag"):
        repository.commit({"README": "release\n"}, "v1.3.0")
        trial.rolled("clock", lambda: trial.manifest("clock", source=f"{repository.bare}#v1.3.0"))
        assert trial.page("clock") == "1.3.0"
    with trial.step("stopped"):
        trial.stopped("clock")
