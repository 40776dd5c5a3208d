"""What goes wrong around a node: each gets a clear word, and nothing that works is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.processes.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.nodes import Bench

GOOD = "id: a\ncommand: [sleep, '1000']\nprobes: {readiness: none}\n"


def errors(bench: Bench) -> str:
    return " ".join(source["error"] or "" for source in bench.status()["sources"]).strip()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("id: a\ncommand: [sleep", "a.yaml:"),
        (f"{GOOD}restrat: {{policy: never}}\n", "did you mean restart?"),
        (f"{GOOD}replicas: many\n", "replicas"),
        (
            f"{GOOD}sandbox: strict\negress: [a.example]\n",
            "'a.example' is not a destination; write a host and a port",
        ),
        (f"{GOOD}exports: [{{api: x, path: y}}]\n", "'y' is not a path; write one that starts with /"),
        ("", "delete"),
    ],
)
def test_a_broken_file_keeps_its_last_good_services(bench: Bench, broken: str, words: str) -> None:
    bench.write("a.yaml", GOOD)
    bench.write("b.yaml", GOOD.replace("id: a", "id: b"))
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "ready")
    before = bench.processes()
    bench.write("a.yaml", broken)
    bench.until(lambda: words in errors(bench), f"{words!r} is told")
    bench.until(lambda: words in bench.log(), "also in the terminal")
    assert bench.processes() == before
    bench.until(lambda: any((bench.home / "state/snapshots").rglob("*.json")), "the last good text is kept")
    bench.kill()
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "the next life has the last good one too")
    assert bench.processes() == before and words in errors(bench)


def test_one_id_in_two_files_and_two_sources(bench: Bench) -> None:
    bench.write("one.yaml", GOOD)
    bench.write("two.yaml", GOOD)
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    (bench.home / "manifests/three.yaml").write_text(GOOD)
    bench.until(lambda: bench.service("a")["source"] == "manifests", "the home's own come first")
    conflicts = [c for source in bench.status()["sources"] for c in source["conflicts"]]
    assert {os.path.basename(c["loser"]) for c in conflicts} == {"one.yaml", "two.yaml"}
    assert all(c["winner"].endswith("three.yaml") for c in conflicts)
    bench.until(lambda: len(bench.processes()) == 1, "one runs")


def test_a_dependency_cycle_is_told(bench: Bench) -> None:
    bench.declare("a", dependsOn=[{"id": "b"}])
    bench.declare("b", dependsOn=[{"id": "a"}])
    bench.declare("c")
    bench.up()
    bench.until(lambda: bench.ready("c"), "the others run")
    assert bench.condition("a", "Stalled")[1:] == ("DependencyCycle", "depends on itself: a → b → a")


def test_a_missing_package_folder_is_told_and_found_later(bench: Bench) -> None:
    folder = bench.root / "package"
    bench.write("a.json", json.dumps({"id": "a", "source": str(folder), "probes": {"readiness": "none"}}))
    bench.up()
    bench.until(lambda: bench.condition("a", "Stalled")[1] == "SourceNotFound", "told")
    folder.mkdir()
    (folder / "main.py").write_text("import time; time.sleep(1000)")
    bench.until(lambda: bench.ready("a"), "found")


def test_a_package_without_entry_point_and_one_that_does_not_install(bench: Bench) -> None:
    empty, failing = bench.root / "empty", bench.root / "failing"
    for folder in (empty, failing):
        folder.mkdir()
    (empty / "package.json").write_text("{}")
    (failing / "requirements.txt").write_text("./nowhere\n")
    (failing / "main.py").write_text("")
    for service_id, folder in (("empty", empty), ("failing", failing)):
        bench.write(f"{service_id}.json", json.dumps({"id": service_id, "source": str(folder)}))
    bench.up()
    bench.until(lambda: bench.condition("empty", "Stalled")[1] == "NoEntryPoint", "no entry point")
    bench.until(lambda: bench.condition("failing")[1] == "PrepareFailed", "uv fails")
    assert "nowhere" in bench.condition("failing")[2]


def test_programs_that_exit_never_listen_or_will_not_stop(bench: Bench) -> None:
    update = {"healthyDeadline": "2s"}
    bench.declare("exits", "sh", "-c", "exit 7", update=update)
    bench.declare("mute", update=update, probes={})
    port = free_port()
    listens = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(1000)"
    bench.declare("elsewhere", sys.executable, "-c", listens, update=update, probes={})
    bench.declare("deaf", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", stop={"gracePeriod": "1s"})
    bench.up()
    bench.until(lambda: bench.condition("exits", "Stalled")[0] == "True", "exits")
    assert "status 7" in bench.condition("exits")[2]
    bench.until(lambda: bench.condition("mute", "Stalled")[0] == "True", "mute")
    assert "accepts no connection" in bench.condition("mute", "Stalled")[2]
    assert "it listens nowhere" in bench.condition("mute", "Stalled")[2]
    bench.until(lambda: bench.condition("elsewhere", "Stalled")[0] == "True", "elsewhere")
    told = f"it listens on TCP 127.0.0.1:{port}; write `port: {port}`"
    assert told in bench.condition("elsewhere", "Stalled")[2]
    bench.until(lambda: len(bench.processes()) >= 1 and not bench.service("mute")["instances"], "taken down")
    (bench.folder / "deaf.json").unlink()
    bench.until(lambda: not bench.processes(), "killed after its grace period")


def test_the_old_revision_serves_while_the_new_one_is_rejected(bench: Bench) -> None:
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    before = bench.processes()
    bench.declare("a", "sleep", "1001", probes={}, update={"healthyDeadline": "1s"})
    bench.until(lambda: bench.condition("a", "Stalled")[1] == "HealthyDeadlineExceeded", "rejected")
    bench.until(lambda: bench.processes() == before, "the old one is alone again")
    assert bench.ready("a")
    status = bench.service("a")
    assert status["observedRevision"] != status["desiredRevision"]


def test_a_port_in_use_is_told_and_taken_when_free(bench: Bench) -> None:
    holder = subprocess.Popen([sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        port = int(holder.stdout.readline())
        bench.declare("a", port=port)
        bench.up()
        bench.until(lambda: f"port {port} is in use" in bench.condition("a")[2], "told")
    finally:
        holder.kill()
        holder.communicate()
    bench.until(lambda: bench.ready("a"), "taken")


LISTEN = """
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True); time.sleep(1000)
"""


def test_a_folder_that_disappears_and_returns(bench: Bench) -> None:
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    before = bench.processes()
    bench.folder.rename(bench.root / "away")
    bench.until(lambda: errors(bench), "told")
    assert bench.processes() == before
    (bench.root / "away").rename(bench.folder)
    bench.until(lambda: not errors(bench), "back")
    bench.declare("b")
    bench.until(lambda: bench.ready("a", "b"), "and watched again")
    assert before.items() <= bench.processes().items()


def test_damaged_state_costs_no_service(bench: Bench) -> None:
    bench.declare("a")
    bench.declare("b")
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "ready")
    bench.until(lambda: len(list((bench.home / "state/services").glob("?.json"))) == 2, "remembered")
    bench.kill()
    (bench.home / "state/services/a.json").write_bytes(b'{"suspended": tr')
    (bench.home / "state/services/b.json").write_bytes(b"")
    (bench.home / "state/node.secret").write_bytes(b"short")
    (bench.home / "state/lock").write_bytes(b"\xff")
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "ready again")
    assert len(bench.processes()) == 2
    assert "a.json is damaged" in bench.log()


def test_a_full_disk_loses_nothing_that_was_acknowledged(bench: Bench) -> None:
    with full_disk(bench.home / "state") as fill:
        bench.declare("a")
        bench.up()
        bench.until(lambda: bench.ready("a"), "ready")
        fill()
        stopped = bench.atek("stop", "a", "--no-wait")
        assert stopped.returncode == 1 and "could not be saved" in stopped.stderr
        assert bench.ready("a")
        os.kill(bench.pid("a"), 9)
        bench.until(lambda: bench.ready("a") and len(bench.processes()) == 1, "replaced on a full disk")
        bench.kill()
        bench.up()
        bench.until(lambda: bench.ready("a") and len(bench.processes()) == 1, "and in the next life")
        bench.stop()


class full_disk:
    """A state folder on a file system of its own that `fill` fills: a tmpfs, which needs root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Any:
        self._folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", str(self._folder)]
        self._mounted = subprocess.run(mount, capture_output=True).returncode == 0
        return self._fill

    def _fill(self) -> None:
        if not self._mounted:
            # Without root: a folder that cannot be written is the nearest thing to a full one.
            (self._folder / "services").chmod(0o500)
            (self._folder / "instances").chmod(0o500)
            return
        with open(self._folder / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def __exit__(self, *_: object) -> None:
        if self._mounted:
            subprocess.run(["umount", "-l", str(self._folder)], check=True)
        else:
            for folder in ("services", "instances"):
                (self._folder / folder).chmod(0o700)
        shutil.rmtree(self._folder, ignore_errors=True)
