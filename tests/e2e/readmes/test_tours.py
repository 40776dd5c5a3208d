"""The tours of the READMEs, run as they are written, but for the places: ports, and folders below /tmp."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage
import pytest

from runtimes.processes.ports import free_port
from tests.e2e.readmes.shell import BIN
from tests.e2e.readmes.written import read, tours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.nodes import Bench

TEN_MINUTES = ("README.md", "## Ten minutes")
TWO_MACHINES = ("hyper/README.md", "# Several machines")
SECRETS = ("manifests/README.md", "## Secrets")
TOURS = {TEN_MINUTES, TWO_MACHINES, SECRETS}


def written(readme: str, heading: str) -> str:
    """The shell lines of one part of a README."""
    return tours(read(readme))[heading]


def elsewhere(text: str, places: Mapping[str, str]) -> str:
    for old, new in places.items():
        assert old in text
        text = text.replace(old, new)
    return text


def run(text: str, folder: Path) -> str:
    """What a shell prints that stops at the first line that fails."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(300)
def test_ten_minutes(bench: Bench) -> None:
    port = free_port()
    bench.up("--port", str(port))
    places = {
        "/tmp/": f"{bench.root}/",
        "$PWD/.venv/bin": os.fspath(BIN),
        "$PWD/.atek": os.fspath(bench.home),
        ":2835": f":{port}",
    }
    said = run(elsewhere(written(*TEN_MINUTES), places), bench.root)
    assert "/milk\n" in said
    assert "/MILK\n/BREAD\n" in said
    assert "/MILK\n/BREAD\n/EGGS\n" in said
    assert "notes.txt" in said and "ATEK_DATA_DIR" in said
    bench.until(lambda: not bench.service("notes")["instances"], "nothing of it runs")


@pytest.mark.timeout(300)
def test_two_machines() -> None:
    """Its two nodes are in terminals of their own: they go on beside the lines that follow."""
    root = Path("/tmp") / f"atek-readme-{os.getpid()}"
    root.mkdir(mode=0o700)
    ports = {number: str(free_port()) for number in ("3001", "3002", "49801", "49802")}
    text = elsewhere(written(*TWO_MACHINES), {**ports, "/tmp/": f"{root}/"})
    text = re.sub(r"^(atek up [^#\n]*).*$", r"\1 > /dev/null 2>&1 &", text, flags=re.MULTILINE)
    waiting = "until atek key --link --home {0}/pi && atek key --link --home {0}/laptop; do sleep 0.2; done\n"
    text = text.replace("# The pi runs", f"{waiting.format(root)}# The pi runs")
    ends = f"trap 'atek down --home {root}/laptop; atek down --home {root}/pi; wait' EXIT\n"
    try:
        said = run(ends + text, root)
    finally:
        shutil.rmtree(root)
    assert "hello\n" in said


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As written, for another node that there is, by an editor that changes nothing."""
    monkeypatch.setenv("ATEK_HOME", os.fspath(tmp_path / "home"))
    monkeypatch.setenv("EDITOR", "true")
    (tmp_path / "secrets.yaml").write_text("api: sesame\n")
    other = str(pyrage.x25519.Identity.generate().to_public())
    said = run(elsewhere(written(*SECRETS), {"age1…": other}), tmp_path)
    sealed = (tmp_path / "secrets.yaml").read_text()
    assert re.search(r"^age1[a-z0-9]+$", said, re.MULTILINE)
    assert "sesame" not in sealed
    assert other in sealed
