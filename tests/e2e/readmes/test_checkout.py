"""What the READMEs have to be typed in a clone of the repository, typed in a copy of this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes.packages.node_versions import find_node
from runtimes.processes.ports import free_port
from tests.e2e.readmes.shell import BIN, Line, Shell
from tests.e2e.readmes.written import ROOT, read

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = "2835"
#: A terminal of its own; the other one's lines are below.
UP = {"make run": [Line("make run", "hello .*Ready", None)]}
RUN = {
    "export ATEK_HOME=$PWD/.atek": [Line("export ATEK_HOME=$PWD/.atek")],
    ".venv/bin/atek status": [Line(".venv/bin/atek status", "hello .* yes ")],
    ".venv/bin/atek logs hello -f": [Line(".venv/bin/atek logs hello -f", ".", None)],
    ".venv/bin/atek events -f": [Line(".venv/bin/atek events -f", "hello", None)],
    f"curl hello.localhost:{PORT}": [Line(f"curl hello.localhost:{PORT}", "Hello from your home cloud")],
    f"curl localhost:{PORT}/readyz": [Line(f"curl localhost:{PORT}/readyz")],
}
KEYS = {"python -m manifests.schema": [Line("python -m manifests.schema")]}
INSTALL = {
    "pip install .": [Line("pip install .", "Successfully installed .*atek")],
    'pip install ".[notify]"': [Line('pip install ".[notify]"', "apprise")],
}
DAEMON = {
    "npm ci && npm run build": [Line("npm ci && npm run build", "added")],
    "node --max-old-space-size=96 --max-semi-space-size=2 index.js": [
        Line("node --max-old-space-size=96 --max-semi-space-size=2 index.js", "ready", None)
    ],
}


@pytest.fixture
def clone() -> Iterator[Path]:
    """What Git has of this repository, as it is here, and its environment."""
    made = Path(tempfile.mkdtemp(prefix="atek-readme-"))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, made / name)
    yield made
    shutil.rmtree(made)


def has_environment(clone: Path) -> None:
    """The one that runs the tests, which has all that `make` would install."""
    (clone / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "atek"):
        (clone / ".venv" / "bin" / name).symlink_to(BIN / name)
    (clone / ".venv" / "installed").touch()


@pytest.mark.timeout(300)
def test_two_commands(clone: Path) -> None:
    has_environment(clone)
    port = free_port()
    with (
        Shell(clone, {"ATEK_PORT": str(port)}) as first,
        Shell(clone, {"ATEK_HOME": str(clone / ".atek")}, {PORT: str(port)}) as second,
    ):
        ((up,),) = UP.values()
        node = first.begin(up.text)
        node.until(up.prints)
        for lines in RUN.values():
            second.type(lines)
        # Then edit the greeting, and watch it roll over.
        hello = clone / "manifests" / "examples" / "hello.yaml"
        hello.write_text(hello.read_text().replace("your home cloud", "its second revision"))
        (curl,) = RUN[f"curl hello.localhost:{PORT}"]
        while "its second revision" not in second.says(curl):
            time.sleep(0.1)
        # It is make that ends by the signal, once the node has stopped everything in good order.
        node.end()
        assert "Error" not in node.said()


def test_the_table_of_keys_is_made(clone: Path) -> None:
    has_environment(clone)
    readme = clone / "manifests" / "README.md"
    table = re.compile(r"(<!-- keys: [^\n]*\n).*(<!-- end of keys -->)", re.DOTALL)
    readme.write_text(table.sub(r"\1\2", read("manifests/README.md")))
    with Shell(clone, {}) as shell:
        for lines in KEYS.values():
            shell.type(lines)
    assert readme.read_text("utf-8") == read("manifests/README.md")


@pytest.mark.timeout(300)
def test_it_is_installed(clone: Path) -> None:
    """In an environment of its own; what it needs is had from the one that runs the tests."""
    made = clone / "new"
    subprocess.run([sys.executable, "-m", "venv", made], check=True)
    (packages,) = made.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    path = f"{made}/bin:{os.environ['PATH']}"
    with Shell(clone, {"PATH": path}) as shell:
        for lines in INSTALL.values():
            shell.type(lines)
    with Shell(made, {"PATH": path}) as shell:
        shell.type([Line("atek schema", "schema"), Line("which atek", f"^{made}/")])
    assert (packages / "hyper" / "daemon" / "index.js").exists()
    assert (packages / "hyper" / "daemon" / "package-lock.json").exists()


@pytest.mark.timeout(300)
def test_the_daemon(clone: Path) -> None:
    environment = {
        "PATH": f"{Path(find_node().node).parent}:{os.environ['PATH']}",
        "HYPER_STORE": str(clone / "store"), "HYPER_SOCKET": str(clone / "hyper.sock"),
    }  # fmt: skip
    with Shell(clone / "hyper" / "daemon", environment) as shell:
        for lines in DAEMON.values():
            shell.type(lines)
