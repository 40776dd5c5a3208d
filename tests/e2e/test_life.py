"""A node as a person meets it: it converges, is told what to do, and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.nodes import ATEK

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench


def get(bench: Bench, path: str) -> tuple[int, str]:
    address = bench.status()["node"]["address"]
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_declared_edited_and_deleted(bench: Bench) -> None:
    bench.declare("a", env={"VALUE": "1"})
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    first = bench.service("a")
    assert first["observedRevision"] == first["desiredRevision"]
    bench.declare("a", env={"VALUE": "2"})
    bench.until(
        lambda: bench.service("a")["observedRevision"] not in (None, first["observedRevision"]), "new"
    )
    bench.until(lambda: len(bench.processes()) == 1, "the old one is gone")
    (bench.folder / "a.json").unlink()
    bench.until(lambda: not bench.processes() and not bench.status()["services"], "pruned")


def test_policies_apply_without_a_restart(bench: Bench) -> None:
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    pid = bench.pid("a")
    bench.declare("a", stop={"gracePeriod": "1s"}, replicas=2)
    bench.until(lambda: len(bench.service("a")["instances"]) == 2, "scaled")
    assert pid in bench.processes()


def test_limits_that_cannot_be_enforced_are_told(bench: Bench) -> None:
    bench.declare("a", resources={"memory": "512Mi", "cpu": 0.5})
    bench.declare("b")
    bench.up()
    bench.until(lambda: bench.ready("a", "b"), "ready")
    status, _, message = bench.condition("a", "LimitsEnforced")
    assert (status == "True") == (message == "")
    assert status == "True" or "cpu 0.5 is not enforced" in message
    assert bench.condition("b", "LimitsEnforced") == ("", "", "")


def test_sigterm_stops_everything_and_leaves_nothing(bench: Bench) -> None:
    bench.declare("db")
    bench.declare("web", dependsOn=[{"id": "db"}])
    bench.up()
    bench.until(lambda: bench.ready("db", "web"), "ready")
    assert bench.stop() == 0
    assert bench.processes() == {}
    log = bench.log()
    assert log.index("web       Stopped") < log.index("db        Stopping")


def test_kept_services_are_adopted_after_an_upgrade(bench: Bench) -> None:
    bench.home.mkdir()
    (bench.home / "config.toml").write_text("coreServices = []\nkeepServices = true\n")
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    before = bench.processes()
    assert bench.stop() == 0
    assert bench.processes() == before
    bench.up()
    bench.until(lambda: bench.ready("a"), "adopted")
    assert bench.processes() == before


def test_stop_start_and_restart_by_a_person(bench: Bench) -> None:
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    assert bench.atek("stop", "a").returncode == 0
    assert bench.processes() == {}
    bench.kill()
    bench.up()
    bench.until(lambda: bench.condition("a")[1] == "Suspended", "still stopped")
    assert bench.processes() == {}
    assert bench.atek("start", "a").returncode == 0
    pid = bench.pid("a")
    assert bench.atek("restart", "a").returncode == 0
    bench.until(lambda: bench.replaced("a", pid), "restarted")
    wrong = bench.atek("stop", "aa")
    assert wrong.returncode == 1 and "did you mean a?" in wrong.stderr


def test_apply_plan_and_delete(bench: Bench) -> None:
    bench.up()
    manifest = json.dumps({"id": "n", "command": ["sleep", "1000"], "probes": {"readiness": "none"}})
    applied = bench.atek("apply", "-", input=manifest)
    assert (applied.returncode, applied.stdout) == (0, "n created\n")
    bench.until(lambda: bench.ready("n"), "applied")
    assert bench.atek("plan").returncode == 0
    bench.declare("other", env={"X": "1"})
    bench.until(lambda: bench.ready("other"), "ready")
    extra = bench.root / "extra.json"
    extra.write_text(json.dumps({"id": "more", "command": ["sleep", "1"]}))
    planned = bench.atek("plan", str(extra))
    assert planned.returncode == 2 and "+ more" in planned.stdout and "other" not in planned.stdout
    assert not bench.service("more")["instances"]
    assert bench.atek("delete", "n").returncode == 0
    bench.until(lambda: not bench.service("n")["instances"], "deleted")
    elsewhere = bench.atek("delete", "other")
    assert elsewhere.returncode == 1 and "other.json" in elsewhere.stderr


def test_plan_before_the_node_ever_ran(bench: Bench) -> None:
    bench.declare("a")
    planned = bench.atek("plan", str(bench.folder))
    assert planned.returncode == 2 and "+ a" in planned.stdout
    bench.write("broken.yaml", "id: [")
    assert bench.atek("plan", str(bench.folder)).returncode == 1


def test_a_second_node_on_the_same_home_is_told_who_has_it(bench: Bench) -> None:
    bench.up()
    second = bench.atek("up", "--port", "0")
    assert second.returncode == 1
    assert bench.node and f"pid {bench.node.pid}" in second.stderr and "hint" in second.stderr


def test_a_port_in_use_is_told(bench: Bench) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        done = bench.atek("up", "--port", str(holder.getsockname()[1]))
    assert done.returncode == 1 and "in use" in done.stderr and "--port" in done.stderr


def test_down_ends_the_node_and_its_services(bench: Bench) -> None:
    bench.declare("a")
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    assert bench.atek("down").returncode == 0
    assert bench.node and bench.node.wait(10) == 0
    assert bench.processes() == {}
    assert bench.atek("down").returncode == 1


def test_a_second_ctrl_c_does_not_wait(bench: Bench) -> None:
    bench.declare("a", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", stop={"gracePeriod": "10m"})
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    time.sleep(0.3)
    assert bench.node
    bench.node.send_signal(signal.SIGINT)
    bench.until(lambda: "Stopping" in bench.log(), "asked to stop")
    bench.node.send_signal(signal.SIGINT)
    assert bench.node.wait(20) == 0
    assert bench.processes() == {}


def test_health_and_metrics(bench: Bench) -> None:
    bench.declare("good")
    bench.declare("bad", "sh", "-c", "exit 3")
    bench.up()
    bench.until(lambda: bench.ready("good") and bench.condition("bad")[1] == "CrashLoopBackOff", "settled")
    assert get(bench, "/livez")[0] == 200
    # Between two waits it is started again, and that is told then.
    bench.until(lambda: "status 3" in get(bench, "/readyz")[1], "told why")
    status, text = get(bench, "/readyz")
    assert status == 503 and "bad" in text and "good" not in text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(get(bench, "/metrics")[1])
        for sample in family.samples
    }
    assert samples["atek_services", "Ready", "True"] == 1
    assert samples["atek_service_restarts_total", "bad"] >= 2
    assert samples["atek_reconcile_duration_seconds_count",] > 0
    assert samples["process_resident_memory_bytes",] > 0
    (bench.folder / "bad.json").unlink()
    bench.until(lambda: get(bench, "/readyz")[0] == 200, "ready again")


def test_logs_and_events(bench: Bench) -> None:
    bench.declare("talker", "sh", "-c", "echo one; echo two; sleep 1000")
    bench.up()
    bench.until(lambda: bench.atek("logs", "talker").stdout == "one\ntwo\n", "logged")
    assert bench.atek("logs", "talker", "-n", "1").stdout == "two\n"
    assert "talker" in bench.atek("events").stdout
    follower = subprocess.Popen(
        [*ATEK, "logs", "talker", "-f", "--home", str(bench.home)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert follower.stdout and follower.stdout.readline() == "one\n"
        log = bench.home / "logs/talker/service.log"
        with open(log, "a") as file:
            file.write("three\n")
        assert [follower.stdout.readline() for _ in range(2)] == ["two\n", "three\n"]
    finally:
        follower.kill()
        follower.communicate()


def test_nobody_else_may_look(bench: Bench) -> None:
    bench.declare("a", env={"PASSWORD": "hunter2"})
    bench.up()
    bench.until(lambda: bench.ready("a"), "ready")
    assert oct(bench.home.stat().st_mode)[-3:] == "700"
    for path in bench.home.rglob("*"):
        if path.is_file() and "data" not in path.parts:
            assert path.stat().st_mode & 0o077 == 0, path
    assert "hunter2" not in bench.log() + json.dumps(bench.status())
    environment = Path(f"/proc/{bench.pid('a')}/environ").read_text()
    token = environment.split("ATEK_HOST_BEARER_TOKEN=")[1].split("\0")[0]
    assert len(token) >= 64 and token not in bench.log() + json.dumps(bench.status())
    assert os.stat(bench.home / "run/control.sock").st_mode & 0o077 == 0
