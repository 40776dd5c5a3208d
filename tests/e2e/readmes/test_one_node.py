"""What the READMEs have to be typed about one node, typed as it is there, one after the other."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes.processes.ports import free_port
from tests.e2e.readmes.shell import Line, Shell
from tests.reconciler.notify.test_sending import ntfy
from tests.runtimes.packages.git_server import WHO, Repository

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = "2835"
API = "atek.cloud/services-api"
#: While no node runs.
BEFORE = {
    "atek schema": [Line("atek schema", '"\\$schema"')],
    "atek schema > atek.schema.json": [Line("atek schema > atek.schema.json")],
    "atek doctor": [Line("atek doctor", "✓ Python")],
    "atek plan [PATH…] [--json]": [
        Line("atek plan more.yaml", "more", 2),
        Line("atek plan more.yaml m2 --json", '"more"', 2),
    ],
}
#: The one that goes on.
UP = {"atek up [PATH…] [--port N]": [Line(f"atek up m --port {PORT}", "hello .*Ready", None)]}
RUN = {
    "atek status": [Line("atek status", "hello .* yes ")],
    "atek status [ID] [--json] [--watch]": [
        Line("atek status hello --json", '"id": ?"hello"'),
        Line("atek status hello --watch", "hello .* yes ", None),
    ],
    "atek status ID": [Line("atek status hello", "^update: rolling, because")],
    "atek logs ID [-f] [-n N]": [
        Line("atek logs hello", "good day"),
        Line("atek logs hello -f -n 1", "good day", None),
    ],
    "atek events": [Line("atek events", "hello")],
    "atek events [-f]": [Line("atek events -f", "hello", None)],
    "atek plan": [Line("atek plan", "nothing would change")],
    "atek call API METHOD [PARAMS]": [
        Line(f"atek call {API} list", '"hello"'),
        Line(f"atek call {API} get '[\"hello\"]'", '"hello"'),
    ],
    f"atek call {API} list": [Line(f"atek call {API} list", '"hello"')],
    "atek token": [Line("atek token", r"^\w{64}$")],
    "atek apply PATH": [Line("atek apply more.yaml", "more")],
    "atek stop ID": [Line("atek stop more")],
    "atek start ID": [Line("atek start more")],
    "atek restart ID": [Line("atek restart more")],
    "atek delete ID": [Line("atek delete more")],
    "atek update": [Line("atek update", r"asks .*1\.1\.0")],
    "atek update [ID] [--json]": [
        Line("atek update --json", '"asks"'),
        Line("atek update notes --json", r"1\.1\.0"),
    ],
    "atek update ID": [Line("atek update asks", r"1\.1\.0")],
    "atek sync": [Line("atek sync", "home")],
    "atek sync [NAME] [--wait]": [Line("atek sync home --wait", "home")],
    "atek diff --git NAME@REF": [Line("atek diff --git home@next", "committed", 2)],
    "atek diff --git NAME[@REF] [--json]": [
        Line("atek diff --git home"),
        Line("atek diff --git home@next --json", '"committed"', 2),
    ],
    "atek plan --git NAME[@REF]": [Line("atek plan --git home@next", "committed", 2)],
    "atek notify [--test]": [Line("atek notify", "ntfy://"), Line("atek notify --test", "ntfy://")],
    "atek secret seal FILE": [Line("atek secret seal secrets.yaml")],
    "atek secret edit FILE": [Line("atek secret edit secrets.yaml")],
    "atek secret rotate FILE": [Line("atek secret rotate secrets.yaml")],
    "atek down": [Line("atek down")],
}
#: In a clone of a source's repository.
CLONE = {"git revert HEAD": [Line("git revert HEAD", "Revert")]}
WAITS = 'command: [sh, -c, "echo good day; exec sleep 1000"]\nprobes: {readiness: none}\n'


@pytest.fixture
def root() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="atek-readme-"))
    yield made
    shutil.rmtree(made)


def prepare(root: Path, *, notify: int) -> Repository:
    """A home, manifests, a repository of them with a branch; returns the one that has releases."""
    (root / "h").mkdir(mode=0o700)
    home = Repository(root / "home")
    home.commit({"committed.yaml": f"id: committed\n{WAITS}"})
    home.git("checkout", "--quiet", "-b", "next")
    home.commit({"committed.yaml": f"id: committed\nenv: {{A: b}}\n{WAITS}"})
    notes = Repository(root / "notes")
    notes.commit({"hello.txt": "1"}, tag="v1.0.0")
    (root / "h" / "config.toml").write_text(
        f'coreServices = []\n[[sources.git]]\nname = "home"\nurl = "{home.path}"\nref = "main"\n'
        f'[[notify]]\nurl = "ntfy://me:secret@127.0.0.1:{notify}/alerts"\n'
    )
    (root / "m").mkdir()
    (root / "m2").mkdir()
    (root / "m" / "hello.yaml").write_text(f"id: hello\n{WAITS}")
    package = f"source: '{notes.path}#:'\nruntime: process\n{WAITS}"
    (root / "m" / "notes.yaml").write_text(f"id: notes\n{package}")
    (root / "m" / "asks.yaml").write_text(f"id: asks\nautoUpdate: {{schedule: 1s, approve: ask}}\n{package}")
    (root / "more.yaml").write_text(f"id: more\n{WAITS}")
    (root / "secrets.yaml").write_text("api: sesame\n")
    return notes


def test_a_commit_is_taken_back(root: Path) -> None:
    home = Repository(root / "home")
    home.commit({"a.yaml": "id: good\n"})
    home.commit({"a.yaml": "id: bad\n"})
    with Shell(root / "home", WHO) as shell:
        for lines in CLONE.values():
            shell.type(lines)
    assert (root / "home" / "a.yaml").read_text() == "id: good\n"


@pytest.mark.timeout(300)
def test_all_of_it(root: Path) -> None:
    environment = {"ATEK_HOME": str(root / "h"), "EDITOR": "true", "ATEK_PORT": str(free_port())}
    with ntfy() as (port, taken):
        notes = prepare(root, notify=port)
        with Shell(root, environment, {PORT: str(free_port())}) as shell:
            for lines in BEFORE.values():
                shell.type(lines)
            ((up,),) = UP.values()
            node = shell.begin(up.text)
            node.until("(?s)(?=.*hello .*Ready)(?=.*committed .*Ready)(?=.*asks .*Ready).*notes .*Ready")
            notes.commit({"hello.txt": "1.1"}, tag="v1.1.0")
            while "1.1.0" not in shell.says(Line("atek update")):
                time.sleep(0.1)
            for lines in RUN.values():
                shell.type(lines)
            assert node.ended() == 0
    assert taken
    assert json.loads((root / "atek.schema.json").read_text())["$schema"]
    assert "sesame" not in (root / "secrets.yaml").read_text()
